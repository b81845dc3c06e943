"""How long a command takes from nothing, in seconds; torch is never imported."""

import subprocess
import sys
from pathlib import Path

import pytest

LIMITS = {"--help": 0.25, "models": 0.4}


@pytest.mark.parametrize("command", LIMITS)
def test_startup(benchmark, command):
    program = Path(sys.executable).with_name("genbench")

    def call():
        subprocess.run([program, command], check=True, capture_output=True)

    benchmark.pedantic(call, rounds=9, warmup_rounds=2)
    assert benchmark.stats.stats.median <= LIMITS[command]

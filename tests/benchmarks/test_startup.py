"""How long commands take from nothing, where torch is never imported, and a run's process, which has it; in seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from genbench.runner.workers import RUNNING, Workers

LIMITS = {"--help": 0.25, "models": 0.4}


@pytest.mark.parametrize("command", LIMITS)
def test_startup(benchmark, command):
    program = Path(sys.executable).with_name("genbench")

    def call():
        subprocess.run([program, command], check=True, capture_output=True)

    benchmark.pedantic(call, rounds=9, warmup_rounds=2)
    assert benchmark.stats.stats.median <= LIMITS[command]


def test_the_second_and_later_runs_start_at_once(benchmark):
    workers = Workers(RUNNING)
    workers.call("torch:get_num_threads")
    benchmark.pedantic(lambda: workers.call("torch:get_num_threads"), rounds=9)
    assert benchmark.stats.stats.median <= 0.2

"""Runs on a real Ray on this machine, in a process of its own; one of its workers is killed mid-run."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from campaigns import FAKES, numbers, records

from genbench.runner.draft import RESUME

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'genbench[ray]'"),
    pytest.mark.two_cores,
]

MODELS = "steady,steady[width=2],raises"
COMMAND = [sys.executable, "-c", "from genbench.cli import main; main()", "run", "--models", MODELS, "--jobs", "2"]
OPTIONS = ["--metrics", "reconstruction", "--device", "cpu", "--budget", "200steps", "-p", FAKES]


@pytest.fixture
def nodes(tmp_path):
    """The folder that nodes make their temporary folders in, and the environment that says so; whatever is told of
    it has ended when the test has."""
    folder = tmp_path / "nodes"
    folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="ray-") as short:  # the names of sockets may not be long
        yield folder, os.environ | {"TMPDIR": str(folder), "RAY_TMPDIR": short, "RAY_USAGE_STATS_ENABLED": "0"}
        deadline = time.monotonic() + 30
        while left := processes(lambda folder: str(tmp_path).encode() in (folder / "environ").read_bytes()):
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.1)


def processes(condition):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if condition(folder):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_run_whose_ray_worker_is_killed_is_redone_and_all_records_are_those_of_the_local_executor(nodes, tmp_path):
    folder, environment = nodes
    said = tmp_path / "said.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            [*COMMAND, "--out", str(tmp_path / "ray"), *OPTIONS, "--executor", "ray"],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        )
    try:
        deadline = time.monotonic() + 120
        while not (states := list(folder.glob(f"genbench-*/out/work/*/{RESUME}"))):  # it has trained for a step
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        log = states[0].with_name("log.txt")
        (run, *_) = processes(lambda process: (process / "fd" / "1").readlink() == log)
        # above the run are its supervisor and the fork server
        (worker,) = (above for above in psutil.Process(run).parents() if above.cmdline()[0].startswith("ray::steady"))
        worker.send_signal(signal.SIGKILL)
        process.wait(240)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 3, said.read_text()  # one of the models raises
    (abandoned,) = folder.glob("genbench-*")  # what the killed one could not clear away
    assert list(abandoned.glob(f"out/work/*/{RESUME}"))

    local = [*COMMAND, "--out", str(tmp_path / "local"), *OPTIONS]
    done = subprocess.run(local, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    there, here = records(tmp_path / "ray"), records(tmp_path / "local")
    assert there.keys() == here.keys() == {"steady", "steady[width=2]", "raises"}
    for label, record in there.items():
        assert (record.key, record.status, record.protocol) == (
            here[label].key,
            here[label].status,
            here[label].protocol,
        )
        assert numbers(record) == numbers(here[label])
        assert "resumed" not in record.provenance
    assert there["steady"].metrics
    assert there["raises"].error.type == "ValueError"

"""What the tests of whole campaigns share."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from genbench.cli import main
from genbench.results.store import Store

#: Models that go wrong in every way, as a plugin file.
FAKES = str(Path(__file__).parents[1] / "runner" / "fakes.py")
#: `genbench` in a process of its own.
COMMAND = [sys.executable, "-c", "from genbench.cli import main; main()"]


def arguments(models, out, budget="20steps", metrics="reconstruction"):
    """The command line of a small campaign on the CPU."""
    options = ["--metrics", metrics, "--device", "cpu", "-p", FAKES]
    return ["run", "--models", models, "--budget", budget, "--out", str(out), *options]


def run(models, out, *more, **options):
    """Carry a small campaign out; its exit code."""
    with pytest.raises(SystemExit) as end:
        main([*arguments(models, out, **options), *more])
    return end.value.code


@contextmanager
def in_background(folder):
    """Starts campaigns in processes of their own, whose environment names `folder`, and sees to it that none of their
    processes outlives this."""
    started = []

    def start(*command):
        process = subprocess.Popen(
            [*COMMAND, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"GENBENCH_TEST": str(folder)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()
    gone(folder)


def records(out):
    """The records of a folder by label; none is skipped."""
    found, skipped = Store(out).read_all()
    assert skipped == []
    return {record.spec.label: record for record in found}


def numbers(record):
    """All that a run under a steps budget says of its model."""
    return record.metrics, [replace(point, seconds=0.0) for point in record.curve], record.selected


def processes_mentioning(text):
    """Command lines by process id of those whose environment holds `text`: the workers inherit it."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if text.encode() in (folder / "environ").read_bytes():
                found[folder.name] = (folder / "cmdline").read_bytes().decode()
        except OSError:
            continue
    return found


def gone(folder, seconds=20):
    """Wait until no process is left whose environment names `folder`."""
    deadline = time.monotonic() + seconds
    while left := processes_mentioning(str(folder)):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.05)

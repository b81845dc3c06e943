"""What the tests of whole campaigns share."""

import time
from dataclasses import replace
from pathlib import Path

from genbench.results.store import Store


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

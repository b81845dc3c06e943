"""Faults that hit while a record is being written, and clocks that go wrong."""

import datetime
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from campaigns import arguments, gone, records, run
from PIL import Image

from genbench.results.store import Store
from genbench.runner import session

#: A campaign whose own process is killed when it is about to make what it has written a record.
KILLED_MID_WRITE = """
import os, signal
from genbench.cli import main
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
main()
"""


def test_a_worker_that_is_killed_while_it_writes_leaves_no_half_record(tmp_path):
    assert run("torn,torn[width=2],fine", tmp_path) == 3
    found = records(tmp_path)  # none is half
    fine = found.pop("fine")
    assert fine.status == "ok"
    assert len(found) == 2
    for record in found.values():
        assert (record.status, record.error.signal, record.error.phase) == ("killed", "SIGKILL", "evaluation")
        assert len(record.curve) == len(fine.curve)
        assert record.metrics == []


def test_a_campaign_that_is_killed_while_it_writes_leaves_no_half_record(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    command = [sys.executable, "-c", KILLED_MID_WRITE, *arguments("fine,exits", tmp_path / "out")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    gone(tmp_path)
    found, skipped = Store(tmp_path / "out").read_all()
    assert skipped == []
    assert {record.spec.label for record in found} <= {"fine"}
    assert run("fine,exits", tmp_path / "out") == 3
    assert {label: record.status for label, record in records(tmp_path / "out").items()} == {
        "fine": "ok",
        "exits": "killed",
    }


def test_a_clock_that_jumps_backwards_changes_no_budget_and_no_limit(tmp_path, monkeypatch):
    """The wall clock is an hour earlier at every look, in the campaign as in its runs."""
    now = time.time()

    def backwards():
        nonlocal now
        now -= 3600
        return now

    monkeypatch.setattr(time, "time", backwards)
    started = time.monotonic()
    assert run("unwinds,fine", tmp_path, budget="1s") == 0
    assert time.monotonic() - started < 60
    record = records(tmp_path)["unwinds"]
    assert 1 <= record.budget.used.seconds < 1.5
    assert [point.seconds for point in record.curve] == sorted(point.seconds for point in record.curve)
    assert 0 <= record.timing["share"] <= 1
    assert all(0 <= seconds < 60 for name, seconds in record.timing.items() if name != "share")
    assert datetime.datetime.fromisoformat(record.provenance["date"]).year > 2000


def test_nothing_is_timed_by_the_wall_clock():
    """It may be set; what is measured must not notice."""
    harness = Path(__file__).parents[2] / "harness"
    files = [path for path in harness.rglob("*.py") if "time.time()" in path.read_text(encoding="utf-8")]
    assert files == []


def test_data_that_changes_after_planning_is_not_taken_for_what_was_planned(tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    for place in range(30):
        Image.fromarray(np.full((4, 4), 8 * place, dtype=np.uint8)).save(folder / f"{place}.png")
    plan = session.make_plan

    def then_change(*given):
        planned = plan(*given)
        Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(folder / "7.png")
        return planned

    monkeypatch.setattr(session, "make_plan", then_change)
    assert run("fine", tmp_path / "out", "--datasets", f"folder[path={folder}]") == 4
    record = records(tmp_path / "out")["fine"]
    assert (record.status, record.error.phase) == ("failed", "setup")
    assert "is not what it was when the run was planned" in record.error.message

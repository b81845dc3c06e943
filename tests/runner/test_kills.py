"""Kill -9 of each process in each phase: nothing finished is lost, the other runs go on, and no process is left."""

import time

import psutil
import pytest
from campaigns import arguments, gone, in_background, records

from genbench.results.store import Store

#: What the processes of a campaign are called, from the one that the user has started down to the run.
CAMPAIGN, FORKS, WATCH, WORK = "campaign", "genbench-forks", "genbench-watch", "genbench-work"
#: Where `lingers` waits: `setup` is the model's method, `evaluation` any reconstruction after the last step.
PHASES = ("planning", "setup", "training", "evaluation")
#: Those that are tried in the ordinary suite.
FIRST = {("planning", CAMPAIGN), ("training", FORKS), ("evaluation", WATCH)}
CASES = [
    pytest.param(phase, victim, marks=[] if (phase, victim) in FIRST else pytest.mark.faults)
    for phase in PHASES
    for victim in (CAMPAIGN, FORKS, WATCH, WORK)
]


def named(process, name):
    """The processes below this one that have the name."""
    return [child for child in process.children(recursive=True) if child.name() == name]


@pytest.mark.parametrize(("phase", "victim"), CASES)
def test_a_kill(phase, victim, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_LINGER", phase)
    out = tmp_path / "out"
    with in_background(tmp_path) as start:
        process = start(*arguments("lingers,fine", out))
        deadline = time.monotonic() + 120
        while not (tmp_path / "lingering").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        campaign = psutil.Process(process.pid)
        for each in [campaign] if victim == CAMPAIGN else named(campaign, victim):
            each.kill()
        if victim == CAMPAIGN:
            process.communicate()
            gone(tmp_path)
            assert Store(out).read_all()[1] == [] if out.exists() else True
        (tmp_path / "go").touch()
        if victim == FORKS:
            said = process.communicate(timeout=120)[1]
            assert process.returncode == 0
            assert "forked from ended (killed by SIGKILL); it is started anew" in said
        elif victim != CAMPAIGN:
            said = process.communicate(timeout=120)[1]
            if phase == "planning":
                assert process.returncode == 1
                assert "killed by SIGKILL" in said.splitlines()[-1]
            else:
                assert process.returncode == 3
                found = records(out)
                assert (found["lingers"].status, found["lingers"].error.signal) == ("killed", "SIGKILL")
                assert found["fine"].status == "ok"
        gone(tmp_path)
        monkeypatch.setenv("GENBENCH_LINGER", "")
        assert start(*arguments("lingers,fine", out)).wait(120) == 0
    assert {record.status for record in records(out).values()} == {"ok"}

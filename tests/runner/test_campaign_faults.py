"""A whole campaign on a disk that fails: every few operations of the parent, and of each of its workers, in turn.

`GENBENCH_FAULT_STEP=1` tries each operation in place of every fourth.
"""

import errno
import os
import subprocess
from itertools import count
from pathlib import Path

import campaigns
import faults
import pytest
from many_records import many_records

from genbench.results.store import Store

SUPPORT = Path(faults.__file__).parent
STEP = int(os.environ.get("GENBENCH_FAULT_STEP", 4))
#: More operations than a process of a small campaign takes.
MANY = 1000


def campaign(out, fault=None):
    """The exit code and the standard error of a campaign of two models."""
    command = [*campaigns.COMMAND, *campaigns.arguments("fine,pca", out, budget="3steps")]
    environment = os.environ.copy()
    if fault is not None:
        paths = [str(SUPPORT / "faulty"), str(SUPPORT), environment.get("PYTHONPATH", "")]
        environment |= {faults.VARIABLE: fault, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    return done.returncode, done.stderr


@pytest.mark.faults
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, 0], ids=["full", "broken", "killed"])
@pytest.mark.parametrize("role", ["parent", "worker"])
def test_no_operation_that_goes_wrong_costs_what_was_finished(tmp_path, role, code):
    (earlier,) = many_records(1)
    for number in count(1, STEP):
        out, told = tmp_path / str(number), tmp_path / f"told-{number}"
        Store(out).publish(earlier)
        ended, said = campaign(out, f"{role}:{number}:{code}:{out}:{told}")
        records, skipped = Store(out).read_all()
        assert skipped == [], number
        assert earlier in records, number
        if not told.exists():
            assert ended == 0
            break
        assert ended in ((-9,) if role == "parent" and code == 0 else (0, 1, 3, 4)), (number, said)
        assert "Traceback" not in said, (number, said)
        ended, said = campaign(out)
        assert ended == 0, (number, said)
        assert {record.spec.label for record in Store(out).read_all()[0]} == {"fine", "pca", earlier.spec.label}, number
    assert STEP < number < MANY

"""`genbench failures`: what it lists, and that nothing in a record can upset a terminal."""

import json
import re
import subprocess
import sys

import pytest
from specs import record_spec

from genbench.cli import main
from genbench.results.schema import Amount, BudgetUse, Failure, Record, Unmeasured
from genbench.results.store import Store

NASTY = "[red]it broke[/red]\n\x1b[31m\x1b[2J\x1b]0;title\x07\x9b2J\x08 :smile: <script> \u202eevil [/nothing]"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")


def genbench(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def made(label, key, **fields):
    spec = record_spec(model=label, family="fake", label=label, config={}, budget="30s")
    used = BudgetUse(allowed=Amount(seconds=30), used=Amount(seconds=18.2))
    known = {"status": "ok", "spec": spec, "protocol": {}, "protocol_hash": "p", "budget": used}
    return Record(schema=1, key=key * 16, **known | fields)


@pytest.fixture
def out(tmp_path):
    """An output folder with a run that is fine, one that raised, one that was killed and a metric that failed."""
    raised = Failure(
        phase="training",
        type="ValueError",
        message=NASTY,
        traceback=f"Traceback:\n  {NASTY}",
        log_tail=f"step 1\rstep 2\n{NASTY}",
        memory_bytes=812 * 2**20,
    )
    killed = Failure(phase="evaluation", type="Killed", message="its process died", signal="SIGKILL", exit_code=-9)
    gap = Unmeasured(metric="fid", names=["fid"], status="failed", reason="RuntimeError: no samples")
    for record in (
        made("fine", "0"),
        made("raises", "1", status="failed", error=raised),
        made("killed", "2", status="killed", error=killed),
        made("late", "3", unmeasured=[gap]),
    ):
        Store(tmp_path).publish(record)
    return tmp_path


def test_every_failure_is_listed_with_its_facts(out, capsys):
    assert genbench("failures", out) == 0

    said = capsys.readouterr().out
    assert said.split("\n\n") == [
        "2 of 4 runs are not ok, and metrics failed in 1 other",
        "killed on digits, seed 0: killed in evaluation\n"
        "    Killed: its process died\n"
        f"    SIGKILL · 18.2 of 30 s · run {'2' * 16}",
        "late on digits, seed 0: failed in metric fid\n"
        "    RuntimeError: no samples\n"
        f"    18.2 of 30 s · run {'3' * 16}",
        "raises on digits, seed 0: failed in training\n"
        "    ValueError: [red]it broke[/red] ]0;title2J :smile: <script> evil [/nothing]\n"
        f"    18.2 of 30 s · 812 MiB · run {'1' * 16}\n",
    ]


def test_verbose_adds_traceback_and_log(out, capsys):
    genbench("failures", out)
    short = capsys.readouterr().out

    assert genbench("failures", out, "-v") == 0

    said = capsys.readouterr().out
    assert "Traceback" not in short
    assert "    Traceback:\n      [red]it broke[/red]\n" in said
    assert "    the end of its log:\n    step 1\n    step 2\n    [red]it broke[/red]\n" in said
    assert not CONTROL.search(said)


def test_json_has_all_of_it_for_scripts(out, capsys):
    assert genbench("failures", out, "--json") == 0

    rows = json.loads(capsys.readouterr().out)
    assert [(row["label"], row["status"], row["phase"], row["metric"]) for row in rows] == [
        ("killed", "killed", "evaluation", None),
        ("late", "failed", "evaluation", "fid"),
        ("raises", "failed", "training", None),
    ]
    assert (rows[0]["signal"], rows[0]["exit_code"], rows[2]["memory_bytes"]) == ("SIGKILL", -9, 812 * 2**20)
    assert rows[2]["log"].startswith("step 1\nstep 2\n")


def test_where_nothing_failed_it_says_so_in_a_line(tmp_path, capsys):
    Store(tmp_path).publish(made("fine", "0"))

    assert genbench("failures", tmp_path) == 0
    assert capsys.readouterr().out == "nothing failed in 1 run\n"
    assert genbench("failures", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_records_that_can_not_be_read_are_named(out, capsys):
    (out / "runs" / ("1" * 16) / "record.json").write_text('{"schema": 1, "ev\\u001b[2Jil": 1}')

    assert genbench("failures", out) == 0

    said = capsys.readouterr()
    assert f"genbench: skipped {out / 'runs' / ('1' * 16) / 'record.json'}: not a valid record" in said.err
    assert not CONTROL.search(said.err)
    assert "raises" not in said.out


def test_a_folder_without_results_is_an_error_in_a_line(tmp_path, capsys):
    assert genbench("failures", tmp_path / "absent") == 1
    assert capsys.readouterr().err == f"genbench: no results in {tmp_path / 'absent'}: it has no folder 'runs'\n"


def test_it_never_imports_torch(out):
    code = (
        "import sys\nfrom genbench.cli import main\n"
        f"try:\n    main(['failures', {str(out)!r}, '-v'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'pandas', 'matplotlib', 'numpy'} & set(sys.modules), 'too much was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

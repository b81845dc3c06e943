"""Whole runs, each in its process, of models that go wrong in every way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from campaigns import FAKES, processes_mentioning, records

from genbench.cli import main
from genbench.results.schema import Record

#: Not every kernel counts how long threads wait.
counted = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs /proc/self/schedstat")
OPTIONS = ["--metrics", "reconstruction", "--device", "cpu", "-p", FAKES]


def genbench(*arguments):
    with pytest.raises(SystemExit) as end:
        main([*arguments])
    return end.value.code


def run(models, out, *more, budget="20steps"):
    return genbench("run", "--models", models, "--budget", budget, "--out", str(out), *OPTIONS, *more)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """One campaign of good and bad models; its exit code and records."""
    out = tmp_path_factory.mktemp("campaign")
    code = run("fine,raises,nan,exits,killed,late,chatty,badsetup,badinit,fine[width=3]", out)
    return code, records(out), out


def test_some_runs_not_ok_is_exit_code_3(campaign):
    assert campaign[0] == 3


def test_good_models_have_their_numbers(campaign):
    found = campaign[1]
    for label in ("fine", "fine[width=3]"):
        record = found[label]
        assert (record.status, record.budget.used.steps, record.error) == ("ok", 20, None)
        assert record.selected["rule"] == "best"
        assert {"reconstruction_mse"} <= {value.name for value in record.metrics}
        assert record.artifacts.keys() == {"checkpoint", "reconstructions", "rows", "log"}
        assert record.curve[-1].fraction == 1.0
    assert found["fine[width=3]"].spec.config["width"] == 3


@pytest.mark.parametrize(
    ("label", "status", "kind", "phase"),
    [
        ("raises", "failed", "ValueError", "training"),
        ("nan", "diverged", "Diverged", "training"),
        ("exits", "killed", "Exited", "training"),
        ("killed", "killed", "Killed", "training"),
        ("badsetup", "failed", "RuntimeError", "training"),
        ("badinit", "failed", "RuntimeError", "setup"),
    ],
)
def test_a_model_that_goes_wrong_is_a_record_that_says_so(campaign, label, status, kind, phase):
    record = campaign[1][label]
    assert (record.status, record.error.type, record.error.phase) == (status, kind, phase)
    assert record.metrics == []
    assert record.error.message


def test_what_was_reached_is_kept(campaign):
    for label in ("raises", "exits", "killed"):
        record = campaign[1][label]
        assert [point.steps for point in record.curve] == [1, 2, 3, 4]
    assert "ValueError: <script>it broke</script>" in campaign[1]["raises"].error.traceback
    assert campaign[1]["exits"].error.exit_code == 7
    assert campaign[1]["killed"].error.signal == "SIGKILL"


def test_a_failed_metric_leaves_the_run_ok_and_says_why(campaign):
    record = campaign[1]["late"]
    assert record.status == "ok"
    assert record.selected["rule"] == "last"
    assert [(gap.metric, gap.status, gap.reason) for gap in record.unmeasured] == [
        ("reconstruction", "failed", "RuntimeError: no reconstructions at the end")
    ]
    log = (campaign[2] / "runs" / record.key / "log.txt").read_text()
    assert "Traceback (most recent call last)" in log
    assert "RuntimeError: no reconstructions at the end" in log


@counted
@pytest.mark.parametrize("label", ["raises", "nan", "exits", "killed"])
def test_what_training_took_is_known_of_a_run_that_went_wrong_too(campaign, label):
    record = campaign[1][label]
    timing = record.timing
    assert timing["cpu_seconds"] > 0
    assert 0 <= timing["share"] <= 1
    if label in ("raises", "nan"):  # whose process lived to tell
        assert timing["training"] >= record.budget.used.seconds > 0
        assert timing["curve"] > 0


def test_what_a_model_prints_is_in_its_log(campaign):
    _, found, out = campaign
    log = out / "runs" / found["chatty"].key / "log.txt"
    assert log.stat().st_size > 1_000_000
    assert found["chatty"].status == "ok"


def test_the_table_shows_failures_apart_and_escapes_them(campaign, capsys):
    assert genbench("table", str(campaign[2]), "--format", "html") == 0
    page = capsys.readouterr().out
    assert "<script>it broke" not in page
    assert "diverged" in page


def test_finished_runs_are_reused_and_failed_ones_redone(campaign, capsys):
    _, before, out = campaign
    assert run("fine,raises", out) == 3
    assert "fine on digits, seed 0: reused" in capsys.readouterr().err
    after = records(out)
    assert after["fine"].provenance["date"] == before["fine"].provenance["date"]
    assert after["raises"].status == "failed"
    dates = [record["raises"].provenance["date"] for record in (before, after)]
    assert dates[0] < dates[1]


def test_the_same_seed_gives_the_same_record(tmp_path):
    metrics = []
    for folder in ("one", "two"):
        assert run("fine", tmp_path / folder, "--seeds", "3,") == 0
        record = records(tmp_path / folder)["fine"]
        metrics.append((record.key, record.metrics, [point.objective for point in record.curve]))
    assert metrics[0] == metrics[1]


def test_none_ok_is_exit_code_4(tmp_path):
    assert run("raises", tmp_path) == 4


def test_a_memory_cap_makes_an_out_of_memory_record(tmp_path):
    assert run("hungry,fine", tmp_path, budget="20steps,256MiB") == 3
    found = records(tmp_path)
    assert found["hungry"].status == "out_of_memory"
    assert found["fine"].status == "ok"
    assert found["hungry"].budget.allowed.memory_bytes == 2**28


def test_a_seconds_budget_binds(tmp_path):
    assert run("slow", tmp_path, budget="2s") == 0
    used = records(tmp_path)["slow"].budget.used
    assert used.seconds >= 2.0
    assert used.seconds - 2.0 <= max(0.02, 2 * used.seconds / used.steps)


@pytest.fixture
def interruptible(tmp_path):
    """A campaign of a run that ends soon and one that does not, in a process that Ctrl-C reaches."""
    command = [sys.executable, "-c", "from genbench.cli import main; main()", "run", "--models", "fine,slow"]
    process = subprocess.Popen(
        [*command, "--budget", "60s,1000steps", "--out", str(tmp_path), *OPTIONS],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"GENBENCH_TEST": str(tmp_path)},
        # a background job of a shell, as this may be, inherits that Ctrl-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    yield process
    process.kill()
    process.communicate()


def test_ctrl_c_ends_cleanly_and_keeps_what_is_finished(interruptible, tmp_path):
    lines = []
    for line in interruptible.stderr:
        lines.append(line)
        if "slow on digits, seed 0: started" in line:
            break
    time.sleep(2)
    workers = processes_mentioning(str(tmp_path))
    interruptible.send_signal(signal.SIGINT)
    _, rest = interruptible.communicate(timeout=60)
    assert interruptible.returncode == 130, [*lines, rest]
    assert rest.strip().splitlines()[-1] == "genbench: interrupted"
    found = records(tmp_path)
    assert [label for label in found if found[label].status == "ok"] == ["fine"]
    assert len(workers) >= 3  # the program, its fork server and the run
    deadline = time.monotonic() + 20
    while left := [pid for pid in workers if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_a_record_is_a_documented_json_document(campaign):
    _, found, out = campaign
    path = out / "runs" / found["fine"].key / "record.json"
    document = json.loads(path.read_text())
    assert document["schema"] == 2
    assert Record.model_validate(document) == found["fine"]
    assert {"key", "status", "spec", "budget", "metrics", "curve", "artifacts", "timing", "provenance"} <= set(document)

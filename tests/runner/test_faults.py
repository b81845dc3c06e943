"""Faults, injected one by one: nothing finished is lost, the other runs complete, and no process is left behind."""

import json
import os
import signal
import time

import pytest
from campaigns import arguments, gone, in_background, numbers, processes_mentioning, records, run

from genbench.results.store import Store
from genbench.runner import session
from genbench.runner.draft import RESUME
from genbench.runner.executor import Limits
from genbench.runner.resume import load_state


@pytest.fixture
def background(tmp_path):
    with in_background(tmp_path) as start:
        yield start


@pytest.fixture
def short_limits(monkeypatch):
    monkeypatch.setattr(session, "Limits", lambda **_: Limits(silence=2.0, evaluation=3.0, grace=2.0))


@pytest.mark.parametrize(("model", "kind"), [("hangs", "Overstayed"), ("stubborn", "Overstayed")])
def test_a_run_that_hangs_is_ended_and_what_it_reached_is_kept(model, kind, tmp_path, short_limits):
    assert run(f"{model},fine", tmp_path) == 3
    found = records(tmp_path)
    assert found["fine"].status == "ok"
    record = found[model]
    assert (record.status, record.error.type, record.error.phase) == ("timeout", kind, "training")
    assert [point.steps for point in record.curve] == [1, 2, 3, 4]
    assert record.budget.allowed.steps == 20
    assert 4 <= record.budget.used.steps <= 5
    assert record.error.memory_bytes > 2**20
    assert record.timing["cpu_seconds"] > 0
    if model == "hangs":  # it was asked to end, and did
        assert record.timing["training"] > 2.0


def test_endless_sampling_is_ended_by_the_limit_of_evaluation(tmp_path, short_limits):
    assert run("endless,fine", tmp_path, metrics="reconstruction,throughput") == 3
    record = records(tmp_path)["endless"]
    assert (record.status, record.error.phase) == ("timeout", "evaluation")
    assert record.budget.used.steps == 20
    assert record.curve[-1].fraction == 1.0
    assert "reconstruction_mse" in {value.name for value in record.metrics}
    assert "resume" in record.artifacts


def test_sampling_that_fails_is_a_metric_that_failed(tmp_path):
    assert run("unsampled", tmp_path, metrics="reconstruction,fid") == 0
    record = records(tmp_path)["unsampled"]
    assert {value.name for value in record.metrics} == {"reconstruction_mse"}
    (gap,) = record.unmeasured
    assert (gap.metric, gap.status, gap.reason) == ("fid", "failed", "RuntimeError: no samples today")


def test_a_segfault_is_a_record(tmp_path):
    assert run("segfaults,fine", tmp_path) == 3
    found = records(tmp_path)
    assert found["fine"].status == "ok"
    record = found["segfaults"]
    assert (record.status, record.error.type, record.error.signal) == ("killed", "Killed", "SIGSEGV")
    assert [point.steps for point in record.curve] == [1, 2, 3, 4]


def test_what_a_model_has_started_ends_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    assert run("forks,fine", tmp_path) == 3
    found = records(tmp_path)
    assert (found["forks"].status, found["forks"].error.signal) == ("killed", "SIGKILL")
    assert found["fine"].status == "ok"
    assert not [command for command in processes_mentioning(str(tmp_path)).values() if command.startswith("sleep")]


def test_what_runs_do_to_their_processes_costs_them_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    assert run("scribbles,leaves,quits,copies,fine", tmp_path) == 3
    found = records(tmp_path)
    ended = {label: (record.status, record.error and record.error.type) for label, record in found.items()}
    assert ended == {
        "scribbles": ("failed", "Unreadable"),
        "leaves": ("ok", None),
        "quits": ("failed", "SystemExit"),
        "copies": ("ok", None),
        "fine": ("ok", None),
    }
    assert [point.steps for point in found["scribbles"].curve] == [1, 2, 3, 4]
    assert numbers(found["leaves"]) == numbers(found["copies"]) == numbers(found["fine"])
    assert not [command for command in processes_mentioning(str(tmp_path)).values() if command.startswith("sleep")]


def test_a_worker_that_can_not_write_leaves_a_record_by_its_parent(tmp_path):
    assert run("full,fine", tmp_path) == 3
    found = records(tmp_path)
    assert found["fine"].status == "ok"
    assert found["full"].status in ("killed", "failed")
    assert "File too large" in found["full"].error.log_tail + found["full"].error.message


def test_a_disk_that_is_full_for_everybody_fails_the_run_and_not_the_campaign(tmp_path, monkeypatch, capsys):
    publish = Store.publish

    def no_space(self, record):
        if record.spec.label == "exits":
            raise OSError(28, "No space left on device")
        publish(self, record)

    monkeypatch.setattr(Store, "publish", no_space)
    assert run("exits,fine", tmp_path) == 3
    assert records(tmp_path).keys() == {"fine"}
    assert "failed: OSError: [Errno 28] No space left on device" in capsys.readouterr().err


def test_a_worker_that_was_killed_goes_on_from_its_last_state(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    assert run("once", tmp_path / "killed") == 4
    first = records(tmp_path / "killed")["once"]
    assert (first.status, first.error.signal) == ("killed", "SIGKILL")
    assert "resume" in first.artifacts
    assert run("once", tmp_path / "killed") == 0
    again = records(tmp_path / "killed")["once"]
    assert again.provenance["resumed"] == 7
    assert not (tmp_path / "killed" / "runs" / again.key / RESUME).exists()

    assert run("once", tmp_path / "undisturbed") == 0
    undisturbed = records(tmp_path / "undisturbed")["once"]
    assert "resumed" not in undisturbed.provenance
    assert numbers(again) == numbers(undisturbed)


def test_a_run_that_can_not_be_published_goes_on_from_its_last_state(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    assert run("unpublished", tmp_path) == 4
    first = records(tmp_path)["unpublished"]
    assert (first.status, first.error.phase) == ("killed", "evaluation")
    assert "No space left on device" in first.error.log_tail
    (state,) = tmp_path.rglob(f"*{RESUME}")
    before = load_state(state, f"{first.key} {first.protocol_hash}")["off_clock"]
    assert run("unpublished", tmp_path) == 0
    again = records(tmp_path)["unpublished"]
    assert again.provenance["resumed"] == 20  # all steps: it was only measured again
    assert again.timing["curve"] > before > 0
    assert "resume" not in again.artifacts
    assert not list(tmp_path.rglob(f"*{RESUME}"))


@pytest.mark.parametrize("how", ["--no-resume", "--force"])
def test_what_is_asked_to_start_over_starts_over(how, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    assert run("once", tmp_path) == 4
    assert run("once", tmp_path, how) == 0
    assert "resumed" not in records(tmp_path)["once"].provenance


def test_a_corrupt_state_is_named_in_the_log_and_the_run_started_over(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    assert run("once", tmp_path) == 4
    key = records(tmp_path)["once"].key
    state = tmp_path / "runs" / key / RESUME
    state.write_bytes(state.read_bytes()[:-7])
    assert run("once", tmp_path) == 0
    record = records(tmp_path)["once"]
    assert "resumed" not in record.provenance
    assert "starting over: " in (tmp_path / "runs" / key / "log.txt").read_text()


def test_only_what_is_asked_for_is_retried(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    assert run("once,raises", tmp_path) == 4
    before = records(tmp_path)
    assert run("once,raises", tmp_path, "--retry", "none") == 4
    assert records(tmp_path) == before
    assert run("once,raises", tmp_path, "--retry", "killed") == 3
    after = records(tmp_path)
    assert after["once"].status == "ok"
    assert after["raises"] == before["raises"]
    assert "raises on digits, seed 0: left as it is: failed" in capsys.readouterr().err
    assert run("fine", tmp_path, "--retry", "kiled") == 2
    assert "did you mean killed" in capsys.readouterr().err


def wait_for(condition, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_campaign_that_is_killed_leaves_no_process_and_goes_on(background, tmp_path):
    out = tmp_path / "out"
    command = arguments("fine,steady", out, budget="300steps")
    process = background(*command)
    work = out / "work"
    wait_for(lambda: any(out.glob("runs/*/record.json")) and any(work.glob(f"*/{RESUME}")), process)
    process.kill()
    process.communicate()
    gone(tmp_path)
    assert [record.spec.label for record in Store(out).read_all()[0]] == ["fine"]
    assert any(work.glob(f"*/{RESUME}"))

    again = background(*command)
    assert again.wait(120) == 0
    found = records(out)
    assert found["steady"].provenance["resumed"] >= 1
    whole = background(*arguments("fine,steady", tmp_path / "undisturbed", budget="300steps"))
    assert whole.wait(120) == 0
    undisturbed = records(tmp_path / "undisturbed")
    for label in ("fine", "steady"):
        assert numbers(found[label]) == numbers(undisturbed[label])


def test_two_campaigns_on_one_folder_share_the_work(background, tmp_path):
    out = tmp_path / "out"
    command = arguments("steady,steady[width=2],steady[width=3]", out, budget="200steps")
    both = [background(*command) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    found = records(out)
    assert {record.status for record in found.values()} == {"ok"}
    assert len(found) == 3
    assert sum(text.count(": started") for text in said) == 3
    assert sum(text.count(": reused") for text in said) == 3


def test_a_run_whose_dataset_is_cut_short_after_planning_fails_alone(tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    from PIL import Image

    for index in range(20):
        Image.new("L", (8, 8), index * 10).save(folder / f"{index}.png")
    plan = session.make_plan

    def then_truncate(*given):
        planned = plan(*given)
        (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:20])
        return planned

    monkeypatch.setattr(session, "make_plan", then_truncate)
    code = run("fine", tmp_path / "out", "--datasets", f"folder[path={folder}],digits")
    assert code == 3
    found = {record.spec.dataset: record for record in Store(tmp_path / "out").read_all()[0]}
    assert found["digits"].status == "ok"
    assert (found["folder"].status, found["folder"].error.phase) == ("failed", "setup")
    assert "3.png" in found["folder"].error.message


def test_half_a_record_is_never_read_as_whole(tmp_path, capsys):
    assert run("fine", tmp_path) == 0
    (path,) = tmp_path.glob("runs/*/record.json")
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", json.dumps({"schema": 7}).encode(), b"[]"):
        path.write_bytes(content)
        assert run("fine", tmp_path) == 0
        assert "started" in capsys.readouterr().err
        assert records(tmp_path)["fine"].status == "ok"


@pytest.mark.two_cores
def test_jobs_run_side_by_side_on_cores_of_their_own(tmp_path, monkeypatch):
    assert run("steady,steady[width=2]", tmp_path, "--jobs", "2", budget="100steps") == 0
    found = records(tmp_path)
    assert {record.provenance["threads"] for record in found.values()} == {len(os.sched_getaffinity(0)) // 2}
    assert {record.provenance["hardware"]["threads"] for record in found.values()} == {
        len(os.sched_getaffinity(0)) // 2
    }
    assert run("fine", tmp_path, "--jobs", "4096") == 2


def test_a_campaign_that_is_terminated_leaves_no_process_and_its_state(background, tmp_path):
    out = tmp_path / "out"
    process = background(*arguments("steady", out, budget="2000steps"))
    wait_for(lambda: any((out / "work").glob(f"*/{RESUME}")), process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    gone(tmp_path)
    assert any((out / "work").glob(f"*/{RESUME}"))
    assert Store(out).read_all()[0] == []

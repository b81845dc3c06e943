"""`--retry` without a suite: what is planned from records alone, which may be anybody's."""

import json
from functools import cache

import pytest
from campaigns import FAKES, records

from genbench.cli import main
from genbench.errors import GenbenchError
from genbench.options import Options
from genbench.plan.planner import make_plan
from genbench.plan.prepare import prepare
from genbench.plan.references import Reference, validate
from genbench.plan.spec import REFERENCE_ROWS
from genbench.plan.suite import make_suite
from genbench.plugins.catalogue import Catalogue, import_target
from genbench.results.schema import Record
from genbench.results.store import RECORD, Store
from genbench.runner.draft import Draft
from genbench.runner.redo import Redo, plan_again

SUITE = {
    "models": ("vae[latent_dim=2|8,beta=4]", "pca"),
    "datasets": ("digits", "digits[binarize=dynamic]"),
    "metrics": ("likelihood", "fid[n=50]"),
    "seeds": (0, 7),
    "budget": "20steps,1GiB",
    "select": "last",
    "precision": "bf16",
    "device": "cpu",
}


@cache
def catalogue():
    return Catalogue.find()


@pytest.fixture(scope="module")
def specs():
    return make_plan(make_suite(SUITE, "here"), catalogue(), prepare).runs


def record_of(spec, status="ok"):
    return Record.model_validate_json(Draft(spec).finish(status).model_dump_json(by_alias=True))


def redone(specs, bad, retry="failed", missing=()):
    """The keys that are planned from records of which `bad`, by key, have a status that is not ok."""
    found = [record_of(spec, bad.get(spec.key, "ok")) for spec in specs if spec.key not in missing]
    plan, left = plan_again(Redo.of(found, retry), catalogue(), prepare)
    assert left == []
    return [run.key for run in plan.runs]


def test_the_runs_that_ended_so_come_out_with_the_same_keys_and_no_others(specs):
    models = [spec for spec in specs if not spec.is_reference]
    assert len(models) == 2 * 3 * 2
    chosen = [0, 1, 2, 5, 9]  # both seeds of one model, one of another, on two datasets
    bad = {models[i].key: "failed" if i % 2 else "timeout" for i in chosen}
    assert sorted(redone(specs, bad)) == sorted(bad)
    assert sorted(redone(specs, bad, "timeout")) == sorted(models[i].key for i in (0, 2))
    assert redone(specs, bad, "diverged") == []


def test_what_a_redone_run_is_made_of_is_what_it_was(specs):
    bad = {spec.key: "failed" for spec in specs}
    plan, _ = plan_again(Redo.of([record_of(spec, "failed") for spec in specs], "failed"), catalogue(), prepare)
    assert {run.key: run for run in plan.runs} == {spec.key: spec for spec in specs}
    assert len(plan.runs) == len(bad)


def test_reference_rows_are_redone_where_they_were_bad_or_are_missing(specs):
    rows = {(spec.data, spec.model): spec.key for spec in specs if spec.is_reference}
    model = next(spec.key for spec in specs if spec.data == "digits" and not spec.is_reference)
    real, copy, noise = (rows["digits", name] for name in REFERENCE_ROWS)
    assert redone(specs, {noise: "killed"}) == [noise]
    assert sorted(redone(specs, {model: "failed", noise: "killed"}, missing=[copy])) == sorted([model, noise, copy])
    assert redone(specs, {model: "timeout", real: "failed"}, "timeout") == [model]


def spoilt(spec, **changes):
    record = record_of(spec, "failed")
    return record.model_copy(update={"spec": record.spec.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "gone"}, "unknown model 'gone'"),
        ({"model": "os:system"}, "unknown model 'os:system'"),
        ({"config": {"latent_dim": 2, "gone": 1}}, "model 'vae': unknown option 'gone'"),
        ({"config": {"latent_dim": -1}}, "model 'vae', option latent_dim=-1"),
        ({"config": {"latent_dim": None}}, "model 'vae', option latent_dim=None"),
        ({"dataset": "../digits"}, "unknown dataset '../digits'"),
        ({"dataset_config": {"gone": 1}}, "dataset 'digits': unknown option 'gone'"),
        ({"view": {"binarize": "sometimes"}}, "dataset 'digits', option binarize=sometimes"),
        ({"metrics": {"gone": {}}}, "unknown metric 'gone'"),
        ({"metrics": {"fid": {"n": 1, "gone": 2}}}, "metric 'fid': unknown option 'gone'"),
        ({"budget": "5x"}, "malformed budget '5x'"),
        ({"seed": -1}, "its record: seeds: seeds must be distinct numbers from 0 to"),
        ({"precision": "fp8"}, "its record: precision: "),
        ({"device": "tpu"}, "its record: device: "),
        ({"device": "cuda:9999"}, "no device cuda"),
        ({"model": "rbm", "config": {}}, "'rbm' can't be trained on digits: needs binary data"),
        ({"family": "reference", "model": "vae"}, "there is no such reference row"),
    ],
)
def test_what_can_not_be_planned_any_more_is_named_and_the_rest_planned(specs, changes, reason):
    first, *others = [spec for spec in specs if spec.model == "vae" and spec.data == "digits"]
    if changes.get("device") == "cuda:9999" and prepare.__globals__["resolve_device"]("auto") != "cpu":
        pytest.skip("there is a GPU")
    bad = spoilt(first, **changes)
    plan, left = plan_again(
        Redo.of([bad, *(record_of(other, "failed") for other in others)], "failed"), catalogue(), prepare
    )
    assert [one.record for one in left] == [bad]
    assert left[0].reason.startswith(reason)
    assert {other.key for other in others} <= {run.key for run in plan.runs if not run.is_reference}
    assert len([run for run in plan.runs if not run.is_reference]) == len(others)


def test_a_plugin_that_crashes_when_it_is_planned_costs_only_its_own_runs(specs):
    def crashing(wanted):
        if any(reference.name == "pca" for reference, _ in wanted.models):
            raise RuntimeError("in a worker process:\nTraceback\n  line 1\nZeroDivisionError: by zero\n")
        return prepare(wanted)

    bad = [record_of(spec, "failed") for spec in specs if spec.data == "digits" and not spec.is_reference]
    plan, left = plan_again(Redo.of(bad, "failed"), catalogue(), crashing)
    assert {(one.record.spec.model, one.reason) for one in left} == {("pca", "ZeroDivisionError: by zero")}
    assert {run.model for run in plan.runs if not run.is_reference} == {"vae"}


def test_options_come_back_from_what_a_record_has_of_them():
    kinds = {"model": catalogue().models, "dataset": catalogue().datasets, "metric": catalogue().metrics}
    for what, offers in kinds.items():
        for name, offer in offers.items():
            config = import_target(offer.entry.target, object).Config
            try:
                defaults = config()
            except ValueError:  # it has an option that must be given
                continue
            written = json.loads(defaults.model_dump_json())
            assert validate(config, Reference(name, written), what) == defaults, name


def test_a_bad_option_that_is_no_text_is_refused():
    class Config(Options):
        sizes: tuple[int, ...] = (1,)

    assert validate(Config, Reference("x", {"sizes": [1, 2]}), "model").sizes == (1, 2)
    assert validate(Config, Reference("x", {"sizes": "[1, 2]"}), "model").sizes == (1, 2)
    with pytest.raises(GenbenchError, match="model 'x', option sizes=5: "):
        validate(Config, Reference("x", {"sizes": 5}), "model")


def genbench(*arguments):
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    return end.value.code


def test_what_failed_is_redone_from_its_records_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    out = tmp_path / "out"
    suite = ["--models", "fine,once,raises", "--budget", "20steps", "--metrics", "reconstruction", "--device", "cpu"]
    assert genbench("run", *suite, "-p", FAKES, "-o", out) == 3
    before = records(out)
    assert {label: record.status for label, record in before.items()} == {
        "fine": "ok",
        "once": "killed",
        "raises": "failed",
    }
    capsys.readouterr()

    assert genbench("plan", "--retry", "failed", "-p", FAKES, "-o", out, "--json") == 0
    planned = json.loads(capsys.readouterr().out)["runs"]
    assert [(run["label"], run["key"]) for run in planned] == [(name, before[name].key) for name in ("once", "raises")]

    assert genbench("run", "--retry", "killed", "-p", FAKES, "-o", out) == 0
    said = capsys.readouterr().err
    assert "[1/1] once on digits, seed 0: ok" in said
    after = records(out)
    assert after.keys() == before.keys()
    assert after["once"].status == "ok"
    assert after["once"].provenance["resumed"] == 7
    assert (after["fine"], after["raises"]) == (before["fine"], before["raises"])

    assert genbench("run", "--retry", "killed", "-p", FAKES, "-o", out) == 0
    assert capsys.readouterr().err == f"genbench: nothing to redo in {out}: no run ended as killed\n"

    # without the file that offers it, the model is unknown
    assert genbench("run", "--retry", "failed", "-o", out) == 4
    named = [line for line in capsys.readouterr().err.splitlines() if line.startswith("genbench: ")]
    assert named == [
        f"genbench: left as it is: raises on digits, seed 0 ({before['raises'].key}): unknown model 'raises': "
        + named[0].partition("unknown model 'raises': ")[2]
    ]
    assert records(out)["raises"] == before["raises"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "3"], "--seeds needs a suite or --models: without them, --retry failed redoes"),
        (["--budget", "5s"], "--budget needs a suite or --models"),
        (["--force"], "--force needs a suite or --models"),
        ([], "nothing to redo in {out}: it has no records"),
        (["--retry", "none"], "no models: name some"),
        (["--retry", "fialed"], "--retry: unknown status 'fialed': did you mean failed"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_what_makes_no_sense_without_a_suite_is_a_usage_error(command, flags, message, tmp_path, capsys):
    assert genbench(command, "--retry", "failed", "-o", tmp_path / "out", *flags) == 2
    assert capsys.readouterr().err.startswith(f"genbench: {message.format(out=tmp_path / 'out')}")
    assert not (tmp_path / "out").exists()


def test_a_folder_in_which_nothing_can_be_read_says_so(tmp_path, capsys):
    folder = Store(tmp_path).folder("f" * 16)
    folder.mkdir(parents=True)
    (folder / RECORD).write_text("{")
    assert genbench("plan", "--retry", "failed", "-o", tmp_path, "--json") == 0
    shown = capsys.readouterr()
    empty = {"runs": [], "not_applicable": [], "left_out": [], "found": {}, "expected_seconds": 0}
    assert json.loads(shown.out) == empty
    assert "no JSON document" in shown.err
    assert "nothing to redo" in shown.err

from dataclasses import replace

import pytest

from genbench.errors import GenbenchError, UsageError
from genbench.plan.exchange import MissingDataset, Prepared, PreparedDataset, PreparedModel
from genbench.plan.planner import describe, make_plan, wanted
from genbench.plan.spec import REFERENCE_ROWS
from genbench.plan.suite import Suite
from genbench.plugins.catalogue import Catalogue


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue.find()


def prepared(wanted, **changes):
    models = [PreparedModel(r.name, str(r), dict(r.options), ["Sampler"], {}) for r, _ in wanted.models]
    datasets = [PreparedDataset(r.name, str(r), {}, {}, "f" * 16, {"fid": {"n": 10}}) for r, _ in wanted.datasets]
    cpu = {"cpu": "x", "threads": 2}
    found = Prepared(models, datasets, {"fid": {"n": 10}}, "cpu", cpu, {"genbench": "0"}, True, [])
    return replace(found, **changes)


def test_the_matrix_is_models_by_datasets_by_seeds_with_reference_rows(catalogue):
    plan = make_plan(Suite(models=("pca", "ppca"), datasets=("digits", "mnist"), seeds=2), catalogue, prepared)
    cells = [(run.label, run.data, run.seed) for run in plan.runs if not run.is_reference]
    assert cells == [(m, d, s) for d in ("digits", "mnist") for m in ("pca", "ppca") for s in (0, 1)]
    assert [run.label for run in plan.runs if run.is_reference] == [*REFERENCE_ROWS, *REFERENCE_ROWS]
    assert len({run.key for run in plan.runs}) == len(plan.runs)
    assert len({run.protocol_hash for run in plan.runs}) == 2


def test_without_a_metric_of_samples_there_are_no_reference_rows(catalogue):
    plan = make_plan(Suite(models=("pca",)), catalogue, lambda w: prepared(w, calibrated=False))
    assert [run.label for run in plan.runs] == ["pca"]


def test_default_metrics_stand_beside_others_unless_they_have_options(catalogue):
    def asked(*metrics):
        return [str(reference) for reference, _ in wanted(Suite(models=("pca",), metrics=metrics), catalogue).metrics]

    assert "ais" not in asked()
    assert asked("default") == asked()
    assert asked("default", "ais[n=5]") == [*asked(), "ais[n=5]"]
    assert sorted(asked("default", "fid[n=50]")) == sorted([*(name for name in asked() if name != "fid"), "fid[n=50]"])


def test_a_default_metric_stays_the_one_it_is_where_a_file_claims_its_name(tmp_path):
    path = tmp_path / "rival.py"
    path.write_text(
        "import genbench\nGENBENCH_API = 1\n@genbench.hookimpl\ndef genbench_metrics():\n"
        "    yield genbench.MetricEntry('fid', 'rival:M', summary='mine')\n"
    )
    rivals = Catalogue.find([str(path)])
    found = wanted(Suite(models=("pca",)), rivals).metrics
    assert found == wanted(Suite(models=("pca",)), Catalogue.find()).metrics
    beside = wanted(Suite(models=("pca",), metrics=("default", "rival:fid")), rivals).metrics
    assert [str(reference) for reference, _ in beside if reference.name.endswith("fid")] == ["rival:fid"]
    with pytest.raises(UsageError, match="metric 'fid' is asked for twice"):
        wanted(Suite(models=("pca",), metrics=("metrics:fid", "rival:fid")), rivals)


def test_a_model_may_be_asked_for_by_its_plugin(catalogue):
    (run,) = make_plan(Suite(models=("ae:pca",)), catalogue, lambda w: prepared(w, calibrated=False)).runs
    assert (run.model, run.target) == ("ae:pca", catalogue.get("model", "pca").entry.target)


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        (
            Suite(models=("pca[latent_dim=1|2|3]", "ae"), datasets=("digits", "toy2d"), seeds=50_000),
            "these are 400,000 runs (4 models × 2 datasets × 50,000 seeds), and a plan has at most 100,000",
        ),
        (
            Suite(models=("vae[" + ",".join(f"o{n}=" + "|".join("0123456789") for n in range(12)) + "]",)),
            "'vae' is asked for with 1,000,000,000,000 settings",
        ),
    ],
)
def test_a_plan_of_too_many_runs_is_refused_before_anything_is_loaded(catalogue, suite, message):
    with pytest.raises(UsageError) as error:
        make_plan(suite, catalogue, lambda _: pytest.fail("loaded"))
    assert str(error.value).startswith(message)


def test_planning_copies_nothing_for_each_run(catalogue):
    plan = make_plan(Suite(models=("pca",), seeds=2), catalogue, prepared)
    first, second = plan.runs[-2:]
    assert describe(first)["protocol"] is second.protocol


def test_a_run_asked_for_twice_is_run_once(catalogue):
    plan = make_plan(Suite(models=("pca", "pca")), catalogue, prepared)
    assert [run.label for run in plan.runs if not run.is_reference] == ["pca"]


def test_a_pair_that_makes_no_sense_is_left_out_with_its_reason(catalogue):
    def refusing(wanted):
        found = prepared(wanted)
        return replace(found, models=[replace(found.models[0], refusals={"digits": "needs colour"}), found.models[1]])

    plan = make_plan(Suite(models=("pca", "ppca")), catalogue, refusing)
    assert [run.label for run in plan.runs if not run.is_reference] == ["ppca"]
    assert [(cell.label, cell.reason) for cell in plan.refused] == [("pca", "needs colour")]
    with pytest.raises(UsageError, match="'pca' can't be trained on digits: needs colour"):
        make_plan(Suite(models=("pca",)), catalogue, lambda w: prepared(w, models=refused_models(w)))


def test_datasets_that_can_not_be_had_are_left_out_as_long_as_there_are_others(catalogue):
    missing = [MissingDataset("mnist", "dataset 'mnist': no files", usage=False)]

    def lacking(wanted):
        found = prepared(wanted)
        return replace(found, datasets=[replace(found.datasets[0], found="9 images")], missing=missing)

    plan = make_plan(Suite(models=("pca",), datasets=("digits", "mnist")), catalogue, lacking)
    assert {run.data for run in plan.runs} == {"digits"}
    assert plan.remarks() == ["digits: 9 images", "left out: dataset 'mnist': no files"]


@pytest.mark.parametrize(("usage", "kind"), [((False, True), GenbenchError), ((True, True), UsageError)])
def test_without_any_dataset_each_is_named_with_its_reason(catalogue, usage, kind):
    missing = [MissingDataset(name, f"dataset '{name}': odd", each) for name, each in zip("ab", usage, strict=True)]
    with pytest.raises(GenbenchError, match=r"^dataset 'a': odd; dataset 'b': odd$") as error:
        make_plan(Suite(models=("pca",)), catalogue, lambda w: replace(prepared(w), datasets=[], missing=missing))
    assert type(error.value) is kind


def test_a_dataset_that_takes_its_process_down_is_left_out(catalogue):
    def dying(wanted):
        if any(reference.name == "mnist" for reference, _ in wanted.datasets):
            raise GenbenchError("a worker process died: killed by SIGSEGV")
        return prepared(wanted)

    plan = make_plan(Suite(models=("pca",), datasets=("digits", "mnist", "toy2d")), catalogue, dying)
    assert {run.data for run in plan.runs} == {"digits", "toy2d"}
    assert plan.remarks() == ["left out: dataset 'mnist': a worker process died: killed by SIGSEGV"]
    for datasets in (("mnist",), ("mnist", "mnist[holdout=1]")):
        with pytest.raises(GenbenchError, match=r"^a worker process died: killed by SIGSEGV$"):
            make_plan(Suite(models=("pca",), datasets=datasets), catalogue, dying)


def refused_models(wanted):
    return [replace(model, refusals={"digits": "needs colour"}) for model in prepared(wanted).models]


def test_the_key_depends_on_what_is_run_and_on_nothing_else(catalogue):
    run = make_plan(Suite(models=("pca",)), catalogue, prepared).runs[-1]
    moved = {"files": ("/elsewhere.py",), "dataset_config": {"path": "/elsewhere"}, "label": "other"}
    same = replace(run, **moved, protocol={}, hardware={}, metrics={}, metric_protocols={})
    assert same.key == run.key
    for change in (
        {"seed": 1},
        {"config": {"latent_dim": 3}},
        {"budget": "31s"},
        {"fingerprint": "0" * 16},
        {"plugin": ("genbench", "9")},
        {"device": "cuda:0"},
        {"precision": "bf16"},
        {"view": {"binarize": "static"}},
        {"source": "0" * 12},
        {"compile": True},
        {"select": "last"},
    ):
        assert replace(run, **change).key != run.key, change
    assert replace(run, device="cuda:1").key == replace(run, device="cuda:0").key


def protocols(catalogue, budget="2000steps", models=("pca",), **changes):
    """The hashes of the whole protocol, and of a quality's and a speed's, under these circumstances."""

    def prepare(wanted):
        found = prepared(wanted, timed=["throughput"], **changes)
        own = {"fid": {"n": 10}, "throughput": {}}
        return replace(found, datasets=[replace(dataset, metrics=own) for dataset in found.datasets])

    run = make_plan(Suite(models=models, budget=budget), catalogue, prepare).runs[-1]
    return run.protocol_hash, run.value_protocol("fid"), run.value_protocol("throughput")


OTHER_MACHINE = {"hardware": {"cpu": "y", "threads": 64}, "versions": {"genbench": "0", "torch": "9"}}


def test_under_a_budget_in_steps_only_speed_depends_on_the_machine(catalogue):
    whole, quality, speed = protocols(catalogue)
    elsewhere = protocols(catalogue, **OTHER_MACHINE)
    assert elsewhere[:2] == (whole, quality)
    assert elsewhere[2] != speed


def test_under_a_budget_in_seconds_every_number_depends_on_the_machine(catalogue):
    here, elsewhere = protocols(catalogue, "30s"), protocols(catalogue, "30s", **OTHER_MACHINE)
    assert all(one != other for one, other in zip(here, elsewhere, strict=True))


def test_numbers_depend_neither_on_the_model_nor_on_versions(catalogue):
    assert protocols(catalogue, "30s") == protocols(catalogue, "30s", models=("ppca",), versions={"genbench": "9"})


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        (Suite(models=("pcaa",)), "unknown model 'pcaa': did you mean pca"),
        (Suite(models=("pca",), datasets=("digit",)), "unknown dataset 'digit': did you mean digits?"),
        (Suite(models=("pca",), metrics=("fdi",)), "unknown metric 'fdi': did you mean fid"),
        (Suite(models=("pca",), metrics=("fid", "fid[n=5]")), "metric 'fid' is asked for twice"),
        (Suite(models=("pca",), budget="5x"), "malformed budget '5x'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_ones(catalogue, suite, message):
    with pytest.raises(UsageError) as error:
        make_plan(suite, catalogue, prepared)
    assert str(error.value).startswith(message)

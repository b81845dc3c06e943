"""MLflow's local store, read back with MLflow's client."""

import threading

import pytest

pytest.importorskip("mlflow", reason="needs genbench[mlflow]")

from mlflow.tracking import MlflowClient

import genbench_trackers.mlflow
from genbench_trackers.mlflow import MLflow

pytestmark = pytest.mark.filterwarnings(
    # MLflow 3 declares its tables in a way that SQLAlchemy 2.1 has deprecated
    "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"
)


@pytest.fixture
def tracker(tmp_path):
    tracker = MLflow(tmp_path)
    yield tracker
    tracker.close()


def runs_of(spec):
    """The MLflow runs of a genbench run, the oldest first."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name("genbench").experiment_id
    return client.search_runs([experiment], f"params.key = '{spec.key}'", order_by=["attributes.start_time ASC"])


def history(run, name):
    return [(metric.step, metric.value) for metric in MlflowClient().get_metric_history(run.info.run_id, name)]


def test_a_run_is_logged_whole(tracker, make_spec, make_event, make_point, make_record):
    spec = make_spec(whole=1)
    tracker.genbench_run_start(spec)
    tracker.genbench_progress(spec, {"phase": "setup"})
    tracker.genbench_progress(spec, {"phase": "training"})
    tracker.genbench_progress(spec, make_event(5, loss=8.0))
    tracker.genbench_progress(spec, make_point(5, 4.5))
    tracker.genbench_progress(spec, make_event(20, loss=4.0) | {"images_per_s": None})
    tracker.genbench_progress(spec, make_point(20, 2.25, objective=22.5))
    tracker.genbench_run_end(make_record(spec))
    tracker.close()
    (run,) = runs_of(spec)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "vae[latent_dim=2] on digits, seed 0")
    assert run.data.tags["genbench.outcome"] == "ok"
    wanted = {"model": "vae", "data": "digits", "budget": "20steps", "seed": "0", "config/hidden": "[64, 32]"}
    assert wanted.items() <= run.data.params.items()
    assert history(run, "train/loss") == [(5, 8.0), (20, 4.0)]
    assert history(run, "train/images_per_s") == [(5, 80.0)]
    assert history(run, "curve/bits_per_dim") == [(5, 4.5), (20, 2.25)]
    assert history(run, "curve/objective") == [(20, 22.5)]
    assert history(run, "final/bits_per_dim") == [(20, 2.5)]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("failed", "FAILED"),
        ("diverged", "FAILED"),
        ("out_of_memory", "FAILED"),
        ("killed", "KILLED"),
        ("timeout", "KILLED"),
    ],
)
def test_how_a_run_ended(status, said, tracker, make_spec, make_record):
    spec = make_spec(status=status)
    tracker.genbench_run_start(spec)
    tracker.genbench_run_end(make_record(spec, status))
    tracker.close()
    (run,) = runs_of(spec)
    assert (run.info.status, run.data.tags["genbench.outcome"]) == (
        said,
        f"{status}: Broken: <script>it broke</script>",
    )


def test_progress_is_logged_while_the_run_goes(tracker, make_spec, make_event, make_point, monkeypatch):
    monkeypatch.setattr(genbench_trackers.mlflow, "INTERVAL", 0.0)
    spec = make_spec(live=1)
    tracker.genbench_run_start(spec)
    tracker.genbench_progress(spec, make_event(5, loss=8.0))
    tracker.genbench_progress(spec, make_point(5, 4.5))
    tracker._calls[-1].result(timeout=30)
    (run,) = runs_of(spec)
    assert (run.info.status, history(run, "train/loss")) == ("RUNNING", [(5, 8.0)])
    assert history(run, "curve/bits_per_dim") == [(5, 4.5)]


def test_an_interrupted_run_keeps_what_it_reported(tracker, make_spec, make_event):
    spec = make_spec(interrupted=1)
    tracker.genbench_run_start(spec)
    tracker.genbench_progress(spec, make_event(5, loss=8.0))
    tracker.close()
    (run,) = runs_of(spec)
    assert (run.info.status, history(run, "train/loss")) == ("KILLED", [(5, 8.0)])


def test_a_run_that_is_begun_anew_is_a_new_one(tracker, make_spec, make_event, make_record):
    spec = make_spec(anew=1)
    for loss in (1.0, 2.0, 3.0):
        tracker.genbench_run_start(spec)
        tracker.genbench_progress(spec, make_event(5, loss=loss))
        if loss != 2.0:  # whose process was lost
            tracker.genbench_run_end(make_record(spec))
    tracker.close()
    runs = runs_of(spec)
    assert [run.info.status for run in runs] == ["FINISHED", "KILLED", "FINISHED"]
    assert [history(run, "train/loss") for run in runs] == [[(5, 1.0)], [(5, 2.0)], [(5, 3.0)]]


def test_a_model_may_call_its_scalars_anything(tracker, make_spec, make_event, make_record):
    spec = make_spec(names=1)
    tracker.genbench_run_start(spec)
    tracker.genbench_progress(spec, make_event(5, **{"../up": 1.0, "D(G(z))": 2.0, "τ": 3.0}))
    tracker.genbench_run_end(make_record(spec))
    tracker.close()
    (run,) = runs_of(spec)
    assert {"train/_up", "train/D_G_z_", "train/τ"} <= run.data.metrics.keys()


def test_more_numbers_than_the_server_takes_at_once_are_logged_in_parts(tracker, make_spec, make_event, make_record):
    spec = make_spec(**{f"option_{i}": i for i in range(120)})
    tracker.genbench_run_start(spec)
    for steps in range(1, 402):
        tracker.genbench_progress(spec, make_event(steps, loss=1.0))
    tracker.genbench_run_end(make_record(spec))
    tracker.close()
    (run,) = runs_of(spec)
    assert len(history(run, "train/loss")) == 401
    assert run.data.params["config/option_119"] == "119"


def test_a_slow_server_holds_up_no_run(make_spec, make_event, make_record, tmp_path, monkeypatch):
    monkeypatch.setattr(genbench_trackers.mlflow, "INTERVAL", 0.0)
    tracker, answers = MLflow(tmp_path), threading.Event()
    log_batch = tracker.client.log_batch
    monkeypatch.setattr(tracker.client, "log_batch", lambda *a, **k: (answers.wait(30), log_batch(*a, **k)))
    spec = make_spec(slow=1)
    tracker.genbench_run_start(spec)
    for steps in range(3):
        tracker.genbench_progress(spec, make_event(steps, loss=1.0))
    tracker.genbench_run_end(make_record(spec))
    assert not answers.is_set()
    answers.set()
    tracker.close()
    (run,) = runs_of(spec)
    assert (run.info.status, len(history(run, "train/loss"))) == ("FINISHED", 3)


def test_a_server_that_fails_is_told_once_and_costs_only_that_run(
    make_spec, make_event, make_record, tmp_path, monkeypatch
):
    monkeypatch.setattr(genbench_trackers.mlflow, "INTERVAL", 0.0)
    tracker = MLflow(tmp_path)
    spec, other = make_spec(lost=1), make_spec(lost=2)
    calls = []

    def gone(*arguments, **more):
        calls.append(arguments)
        raise ConnectionError("the server is gone")

    with monkeypatch.context() as patch:
        patch.setattr(tracker.client, "log_batch", gone)
        tracker.genbench_run_start(spec)
        tracker._thread.submit(int).result(timeout=30)
        with pytest.warns(UserWarning, match=r"^--track mlflow: ConnectionError: the server is gone$"):
            tracker.genbench_progress(spec, make_event(1, loss=1.0))
        tracker.genbench_progress(spec, make_event(2, loss=1.0))
        tracker.genbench_run_end(make_record(spec))
        tracker._thread.submit(int).result(timeout=30)
    assert len(calls) == 1
    tracker.genbench_run_start(other)
    tracker.genbench_run_end(make_record(other))
    tracker.close()
    assert [run.info.status for run in runs_of(other)] == ["FINISHED"]
    assert tracker.runs == {}


def test_a_store_that_cannot_be_reached_is_an_error_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        MLflow(tmp_path)

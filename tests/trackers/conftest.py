from dataclasses import asdict

import pytest
from specs import run_spec

from genbench.results.schema import CurvePoint, Failure, Value
from genbench.runner.draft import Draft


@pytest.fixture(autouse=True)
def store(monkeypatch, tmp_path_factory):
    """MLflow's default store is a file in the working folder: one for all tests, since it takes seconds to make."""
    path = tmp_path_factory.getbasetemp() / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture
def make_spec():
    def make(label="vae[latent_dim=2]", data="digits", seed=0, **config):
        options = {"latent_dim": 2, "hidden": [64, 32], "prior": None, "learning_rate": 1e-3, "amsgrad": False}
        return run_spec(label=label, data=data, seed=seed, config=options | config)

    return make


@pytest.fixture
def make_event():
    def make(steps, **scalars):
        return {
            "phase": "training",
            "fraction": steps / 20,
            "seconds": 0.1 * steps,
            "steps": steps,
            "samples": 8 * steps,
            "images_per_s": 80.0,
            "scalars": scalars,
        }

    return make


@pytest.fixture
def make_point():
    """The event of a point of the curve."""

    def make(steps, bits, objective=None):
        point = CurvePoint(
            fraction=steps / 20,
            seconds=0.1 * steps,
            steps=steps,
            samples=8 * steps,
            objective=objective,
            metrics={"bits_per_dim": bits},
        )
        return {"phase": "curve", "point": asdict(point), "timing": {"cpu_seconds": 0.1}}

    return make


@pytest.fixture
def make_record(make_event):
    """The record of a run of 20 steps with one number, or with an error."""

    def make(spec, status="ok"):
        draft = Draft(spec)
        draft.use_event(make_event(20))
        if status == "ok":
            draft.metrics.append(
                Value(
                    name="bits_per_dim",
                    metric="likelihood",
                    value=2.5,
                    stderr=0.125,
                    kind="upper_bound",
                    better="lower",
                    unit="bits/dim",
                    protocol="p",
                    settings={},
                )
            )
        else:
            draft.error = Failure(phase="training", type="Broken", message="<script>it broke</script>")
        return draft.finish(status)

    return make

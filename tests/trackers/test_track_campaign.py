"""A whole campaign with both trackers."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorboard", reason="needs genbench[tensorboard]")
pytest.importorskip("mlflow", reason="needs genbench[mlflow]")

from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genbench.results.store import Store

FAKES = Path(__file__).parents[1] / "runner" / "fakes.py"

pytestmark = pytest.mark.filterwarnings(
    # MLflow 3 declares its tables in a way that SQLAlchemy 2.1 has deprecated
    "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"
)


@pytest.mark.slow
def test_a_campaign_is_tracked_without_torch_in_the_parent(tmp_path):
    code = (
        "import sys\nfrom genbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 3, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    options = ["--models", "fine,raises", "-p", str(FAKES), "--track", "tensorboard,mlflow", "--budget", "20steps"]
    more = ["--metrics", "reconstruction", "--device", "cpu", "-o", "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, "run", *options, *more],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    records = {record.spec.label: record for record in Store(tmp_path / "out").read_all()[0]}
    fine = records["fine"]
    (number,) = (value.value for value in fine.metrics if value.name == "reconstruction_mse")

    folders = {path.name: path for path in (tmp_path / "out" / "tensorboard").iterdir()}
    assert folders.keys() == {f"{label}-digits-seed0-{record.key[:8]}" for label, record in records.items()}
    events = EventAccumulator(str(folders[f"fine-digits-seed0-{fine.key[:8]}"]), {"tensors": 0})
    events.Reload()
    steps = {tag: [event.step for event in events.Tensors(tag)] for tag in events.Tags()["tensors"]}
    assert steps["train/loss"][-1] == 20
    assert steps["curve/reconstruction_mse"] == [point.steps for point in fine.curve]
    assert steps["final/reconstruction_mse"] == [20]

    client = MlflowClient()
    experiment = client.get_experiment_by_name("genbench").experiment_id
    runs = {
        label: client.search_runs([experiment], f"params.key = '{record.key}'")[0] for label, record in records.items()
    }
    assert {label: run.info.status for label, run in runs.items()} == {"fine": "FINISHED", "raises": "FAILED"}
    assert runs["fine"].data.metrics["final/reconstruction_mse"] == number
    assert runs["raises"].data.tags["genbench.outcome"].startswith("failed: ValueError: <script>it broke")

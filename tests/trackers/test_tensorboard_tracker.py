"""Event files, read back with TensorBoard's own reader."""

import json

import pytest

pytest.importorskip("tensorboard", reason="needs genbench[tensorboard]")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data
from tensorboard.util.tensor_util import make_ndarray

from genbench_trackers.tensorboard import TensorBoard, folder_name


class Seen:
    """What TensorBoard would show of a run's folder."""

    def __init__(self, folder):
        self.events = EventAccumulator(str(folder), {"tensors": 0})
        self.events.Reload()
        self.tags = set(self.events.Tags()["tensors"])

    def scalars(self, tag):
        return [(event.step, float(make_ndarray(event.tensor_proto))) for event in self.events.Tensors(tag)]

    def text(self, tag):
        return make_ndarray(self.events.Tensors(tag)[-1].tensor_proto).item().decode()

    def options(self):
        content = self.events.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content
        info = parse_session_start_info_plugin_data(content)
        return {name: getattr(value, value.WhichOneof("kind")) for name, value in info.hparams.items()}


@pytest.fixture
def tracker(tmp_path):
    tracker = TensorBoard(tmp_path)
    yield tracker
    tracker.close()


def test_a_run_is_seen_whole(tracker, tmp_path, make_spec, make_event, make_point, make_record):
    spec = make_spec()
    tracker.genbench_run_start(spec)
    tracker.genbench_progress(spec, {"phase": "setup"})
    tracker.genbench_progress(spec, {"phase": "training"})
    tracker.genbench_progress(spec, make_event(5, loss=8.0))
    tracker.genbench_progress(spec, make_point(5, 4.5))
    tracker.genbench_progress(spec, make_event(20, loss=4.0, kl=1.5) | {"images_per_s": None})
    tracker.genbench_progress(spec, make_point(20, 2.25, objective=22.5))
    tracker.genbench_progress(spec, {"phase": "evaluation", "metric": "likelihood", "done": 0.5})
    tracker.genbench_run_end(make_record(spec))
    (folder,) = (tmp_path / "tensorboard").iterdir()
    assert folder.name == f"vae_latent_dim=2-digits-seed0-{spec.key[:8]}"
    seen = Seen(folder)
    assert seen.scalars("train/loss") == [(5, 8.0), (20, 4.0)]
    assert seen.scalars("train/kl") == [(20, 1.5)]
    assert seen.scalars("train/images_per_s") == [(5, 80.0)]
    assert seen.scalars("train/fraction") == [(5, 0.25), (20, 1.0)]
    assert seen.scalars("curve/bits_per_dim") == [(5, 4.5), (20, 2.25)]
    assert seen.scalars("curve/objective") == [(20, 22.5)]
    assert seen.scalars("final/bits_per_dim") == [(20, 2.5)]
    assert seen.text("outcome").strip() == "ok"


def test_the_options_are_hyperparameters_and_text(tracker, tmp_path, make_spec):
    spec = make_spec()
    tracker.genbench_run_start(spec)
    (folder,) = (tmp_path / "tensorboard").iterdir()
    seen = Seen(folder)
    options = seen.options()
    assert options["config/latent_dim"] == 2
    assert options["config/amsgrad"] is False
    assert (options["config/hidden"], options["config/prior"]) == ("[64, 32]", "None")
    assert (options["label"], options["budget"], options["key"]) == ("vae[latent_dim=2]", "20steps", spec.key)
    assert json.loads(seen.text("run"))["config/hidden"] == [64, 32]


def test_a_run_can_be_read_while_it_goes_and_when_it_was_interrupted(
    tracker, tmp_path, make_spec, make_event, make_point, make_record
):
    runs = [make_spec(seed=seed) for seed in range(2)]
    for spec in runs:
        tracker.genbench_run_start(spec)
    for spec in runs:
        tracker.genbench_progress(spec, make_event(5, loss=1.0 + spec.seed))
        tracker.genbench_progress(spec, make_point(5, 3.0))
    folders = {spec.seed: tmp_path / "tensorboard" / folder_name(spec) for spec in runs}
    for _ in range(2):
        assert [Seen(folders[seed]).scalars("train/loss") for seed in (0, 1)] == [[(5, 1.0)], [(5, 2.0)]]
        assert Seen(folders[0]).scalars("curve/bits_per_dim") == [(5, 3.0)]
        tracker.close()
    tracker.genbench_progress(runs[0], make_event(6, loss=0.5))
    tracker.genbench_run_end(make_record(runs[0]))
    assert Seen(folders[0]).scalars("train/loss") == [(5, 1.0)]


def test_a_failed_run_says_why(tracker, tmp_path, make_spec, make_record):
    spec = make_spec()
    tracker.genbench_run_start(spec)
    tracker.genbench_run_end(make_record(spec, "failed"))
    seen = Seen(tmp_path / "tensorboard" / folder_name(spec))
    assert seen.text("outcome") == "    failed: Broken: <script>it broke</script>"


def test_a_run_that_is_begun_anew_has_a_curve_of_its_own(tracker, tmp_path, make_spec, make_event, make_record):
    spec = make_spec()
    for loss in (1.0, 2.0, 3.0):
        tracker.genbench_run_start(spec)
        tracker.genbench_progress(spec, make_event(5, loss=loss))
        if loss != 2.0:  # which was killed
            tracker.genbench_run_end(make_record(spec))
    first = tmp_path / "tensorboard" / folder_name(spec)
    folders = [first, first.with_name(f"{first.name}-2"), first.with_name(f"{first.name}-3")]
    assert sorted(first.parent.iterdir()) == folders
    assert [Seen(folder).scalars("train/loss") for folder in folders] == [[(5, 1.0)], [(5, 2.0)], [(5, 3.0)]]


@pytest.mark.parametrize(
    "label", ["../../../etc", "/", "a\\b", ".hidden", "<script>", "π\n\0", "x" * 5000, "", "real (test split)"]
)
def test_no_label_leads_out_of_the_folder(label, tracker, tmp_path, make_spec):
    spec = make_spec(label=label, data=f"folder[path=../{label}]")
    tracker.genbench_run_start(spec)
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]
    (folder,) = (tmp_path / "tensorboard").iterdir()
    assert not folder.name.startswith(".")
    assert folder.name.isascii()
    assert folder.name.endswith(f"-seed0-{spec.key[:8]}")
    assert Seen(folder).options()["label"] == label


def test_a_full_disk_is_an_error_that_leaves_no_file_open(make_spec, make_event, tmp_path, monkeypatch):
    tracker = TensorBoard(tmp_path)
    spec = make_spec()
    tracker.genbench_run_start(spec)
    writer = tracker.runs[spec.key]._writer

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(writer, "write", full)
    with pytest.raises(OSError, match="no space left"):
        tracker.genbench_progress(spec, make_event(1))
    tracker.close()
    assert writer.closed

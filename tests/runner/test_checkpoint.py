"""A trained model comes back as it was, or it is said in one line why it doesn't."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from genbench.cli import main
from genbench.data import DataSpec
from genbench.errors import GenbenchError, UsageError
from genbench.results.finding import find_run
from genbench.results.store import Store
from genbench.runner.checkpoint import load_weights, restore
from genbench.runner.images import read_images
from genbench.runner.trained import Trained

FAKES = Path(__file__).parent / "fakes.py"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An output folder with a model of the package and one of a local file; and with what is made of the first: another
    seed, a run that failed, a reference row."""
    out = tmp_path_factory.mktemp("trained")
    with pytest.raises(SystemExit) as end:
        main(
            [
                *("run", "-m", "pca,fine", "-b", "20steps", "--metrics", "reconstruction", "-o", str(out)),
                *("--device", "cpu", "-p", str(FAKES)),
            ]
        )
    assert end.value.code == 0
    made = {
        "1" * 16: {"seed": 1},
        "2" * 16: {"label": "raises", "model": "raises", "status": "failed"},
        "3" * 16: {"label": "noise", "model": "noise", "family": "reference", "artifacts": {}},
    }
    for key, changes in made.items():
        change(out, record_of(out, "pca"), out, key, **changes)
    return out


def change(source, record, out, key, **changes):
    """Write the record of a run anew, under another key in another folder, with other values."""
    document = json.loads(Store(source).path(record.key).read_text()) | {"key": key, "schema": 1}
    for name, value in changes.items():
        (document if name in document else document["spec"])[name] = value
    Store(out).folder(key).mkdir(parents=True, exist_ok=True)
    Store(out).path(key).write_text(json.dumps(document))


def record_of(out, label, seed=0):
    (found,) = [r for r in Store(out).read_all()[0] if (r.spec.label, r.spec.seed) == (label, seed)]
    return found


def copy(out, record, to):
    """The run in an output folder of its own, which may be changed."""
    folder = Store(to).folder(record.key)
    folder.mkdir(parents=True)
    for path in Store(out).folder(record.key).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_run_is_found_by_folder_key_and_label(finished, tmp_path):
    record = record_of(finished, "pca")
    folder = Store(finished).folder(record.key)
    copy(finished, record, tmp_path)
    for name in (str(folder), record.key, record.key[:10]):
        assert find_run(name, finished) == (record, folder)
    assert find_run("pca", tmp_path)[0] == record


def test_a_label_that_is_the_beginning_of_a_key_is_the_label(finished, tmp_path):
    record = record_of(finished, "pca")
    change(finished, record, tmp_path, "ae0000000000000f", label="vae")
    change(finished, record, tmp_path, "0" * 16, label="ae")
    assert find_run("ae", tmp_path)[0].key == "0" * 16
    assert find_run("ae0", tmp_path)[0].key == "ae0000000000000f"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pac", "unknown run 'pac': did you mean pca?"),
        ("zzz", "unknown run 'zzz': choose from "),
        ("pca", "'pca' means 2 runs: "),
        ("", "' means "),
    ],
)
def test_what_means_no_run_or_several_is_an_error_that_lists_them(finished, name, message):
    with pytest.raises(UsageError) as error:
        find_run(name, finished)
    assert message in str(error.value)
    if name == "pca":
        for seed in (0, 1):
            assert record_of(finished, "pca", seed).key in str(error.value)
        assert "pca on digits, 20steps, seed 1" in str(error.value)


def test_without_an_output_folder_it_is_said(tmp_path):
    with pytest.raises(GenbenchError, match="no results in"):
        find_run("pca", tmp_path / "absent")


def test_an_invalid_record_is_named(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "record.json").write_text("{")
    with pytest.raises(UsageError, match="no JSON document"):
        find_run(str(folder), tmp_path)


@pytest.mark.parametrize(("label", "plugins"), [("pca", ()), ("fine", (str(FAKES),))])
def test_the_model_is_as_it_was(finished, label, plugins):
    record = record_of(finished, label)
    subject = restore(Trained.find(record.key, finished, plugins))

    x = subject.test.x()
    error = (subject.model.reconstruct(x) - x).square().mean().item()
    (measured,) = [value.value for value in record.metrics if value.name == "reconstruction_mse"]
    assert error == pytest.approx(measured, rel=1e-5)
    assert not subject.model.training
    assert subject.seed == record.spec.seed


@pytest.mark.parametrize(
    ("label", "plugins", "message"),
    [
        ("raises", (str(FAKES),), "has no model to use: its status is failed"),
        ("noise", (), "has no checkpoint"),
        ("fine", (), "unknown model 'fine'"),
        ("pca", ("no:ae",), "unknown model 'pca'"),
    ],
)
def test_a_run_that_can_not_be_used_says_why(finished, label, plugins, message):
    record = record_of(finished, label)
    with pytest.raises(GenbenchError) as error:
        Trained.find(record.key, finished, plugins)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_is_gone_or_broken_is_named(finished, tmp_path):
    record = record_of(finished, "pca")
    folder = copy(finished, record, tmp_path)
    (folder / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(GenbenchError, match="no readable checkpoint"):
        restore(Trained.find("pca", tmp_path, ()))
    (folder / "checkpoint.safetensors").unlink()
    with pytest.raises(GenbenchError, match="is not there"):
        Trained.find("pca", tmp_path, ())


def test_what_differs_in_a_checkpoint_is_named(finished, tmp_path):
    record = record_of(finished, "fine")
    trained = Trained.find(record.key, finished, (str(FAKES),))
    model = restore(trained).model
    weights = load_file(trained.checkpoint)
    path = tmp_path / "other.safetensors"

    def refused(changed):
        save_file(changed, path)
        with pytest.raises(GenbenchError) as error:
            load_weights(model, path)
        return str(error.value)

    wider = weights | {"up.weight": torch.zeros(64, 5)}
    assert "does not fit the model Fine: up.weight is (64, 5), the model's is (64, 1)" in refused(wider)
    assert "up.bias is missing" in refused({name: w for name, w in weights.items() if name != "up.bias"})
    assert "extra is unknown to the model" in refused(weights | {"extra": torch.zeros(1)})
    many = refused({f"w{i}": torch.zeros(1) for i in range(9)})
    assert many.endswith(f"; and {len(weights) + 9 - 3} more")


def test_options_that_a_model_no_longer_has_are_named(finished, tmp_path):
    record = record_of(finished, "pca")
    folder = copy(finished, record, tmp_path)
    document = json.loads((folder / "record.json").read_text())
    document["spec"]["config"]["wings"] = 2
    document["schema"] = 1  # under which a record is not checked against itself
    (folder / "record.json").write_text(json.dumps(document))
    with pytest.raises(GenbenchError, match=r"model 'pca' has changed since this run: option wings"):
        restore(Trained.find("pca", tmp_path, ()))


class TestImages:
    GREY, BINARY = DataSpec((1, 8, 8), "discrete", 17), DataSpec((1, 8, 8), "binary", 2)
    COLOUR = DataSpec((3, 4, 6), "discrete", 256)

    def read(self, tmp_path, image, spec, **options):
        image.save(tmp_path / "image.png", **options)
        return read_images([tmp_path / "image.png"], spec)

    def test_levels_that_fit_come_through_unchanged(self, tmp_path):
        pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        x, (done,) = self.read(tmp_path, Image.fromarray(pixels), self.COLOUR)
        assert (np.rint(x.numpy()[0].transpose(1, 2, 0) * 255) == pixels).all()
        assert done == "6x4 pixels, colour, 256 levels"

    def test_size_colours_and_levels_are_brought_to_the_datas(self, tmp_path):
        x, (done,) = self.read(tmp_path, Image.new("RGB", (40, 20), (128, 128, 128)), self.GREY)
        assert x.shape == (1, 1, 8, 8)
        assert x.unique().tolist() == [0.5]
        assert done == "40x20 pixels, resized and cropped to 8x8, to grey, 17 levels"

    def test_binary_pixels_have_a_threshold(self, tmp_path):
        ramp = Image.fromarray(np.arange(124, 132, dtype=np.uint8)[None].repeat(8, 0))
        x, (done,) = self.read(tmp_path, ramp, self.BINARY)
        assert x[0, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
        assert "binary: 1 from one half on" in done

    def test_what_is_transparent_is_white(self, tmp_path):
        x, _ = self.read(tmp_path, Image.new("RGBA", (8, 8), (0, 0, 0, 0)), self.GREY)
        assert x.unique().tolist() == [1.0]

    @pytest.mark.parametrize(
        ("content", "message"),
        [(None, "there is no file"), (b"not an image", "can't be read as an image"), ("16", "more than 8 bits")],
    )
    def test_files_that_can_not_be_read_are_named(self, tmp_path, content, message):
        path = tmp_path / "file.png"
        if content == "16":
            Image.fromarray(np.full((8, 8), 60_000, np.uint16)).save(path)
        elif content is not None:
            path.write_bytes(content)
        with pytest.raises(GenbenchError, match=message) as error:
            read_images([path], self.GREY)
        assert str(path) in str(error.value)

    @pytest.mark.parametrize("spec", [DataSpec((2,), "discrete", 4), DataSpec((1, 8, 8), "continuous")])
    def test_data_that_images_can_not_be_made_of_is_refused(self, tmp_path, spec):
        with pytest.raises(GenbenchError, match="the model's data are"):
            self.read(tmp_path, Image.new("L", (8, 8)), spec)

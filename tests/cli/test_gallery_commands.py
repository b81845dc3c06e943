"""`genbench gallery`, `sample` and `reconstruct`: what they make, and what they say when they can't."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genbench.cli import main
from genbench.results.store import Store

PLUGIN = '''
import torch

import genbench
from genbench.model import Conditional, Model, Sampler

GENBENCH_API = 1


@genbench.hookimpl
def genbench_models():
    yield genbench.ModelEntry("shades", "shades:Shades", family="made", summary="a grey level per label")
    yield genbench.ModelEntry("chance", "shades:Chance", family="made", summary="noise")


class Chance(Model, Sampler):
    """Uniform noise."""

    def update(self, batch, progress):
        self.done = True
        return {"loss": torch.zeros(())}

    def sample(self, n, y=None):
        return torch.rand(n, *self.data.shape)


class Shades(Chance, Conditional):
    """Each label is a grey level: y/9."""

    def sample(self, n, y=None):
        y = torch.randint(10, (n,)) if y is None else y
        return (y / 9).view(n, 1, 1, 1).expand(n, *self.data.shape)
'''


def genbench(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An output folder with PCA of two dimensions and two samplers of a local plugin, and that plugin's file."""
    folder = tmp_path_factory.mktemp("made")
    plugin = folder / "shades.py"
    plugin.write_text(PLUGIN)
    out = folder / "out"
    models = "pca[latent_dim=2],shades,chance"
    arguments = ["run", "-m", models, "-b", "3steps", "--metrics", "reconstruction", "-o", out, "-p", plugin]
    assert genbench(*arguments, "--device", "cpu") == 0
    return out, plugin


@pytest.fixture
def options(made):
    out, plugin = made
    return ["--results", out, "-p", plugin]


PCA = "pca[latent_dim=2]"


def test_a_run_leaves_all_pictures_and_a_gallery_is_made_of_its_checkpoint(made, tmp_path, capsys):
    out, _ = made
    (record,) = [record for record in Store(out).read_all()[0] if record.spec.label == PCA]
    names = {name for purpose, name in record.artifacts.items() if purpose not in ("checkpoint", "log")}
    assert {"manifold.png", "interpolation.png", "traversal.png", "arithmetic.png", "rows.npz"} <= names

    assert genbench("gallery", PCA, "--results", out, "--to", tmp_path / "new") == 0

    shown = capsys.readouterr().out.split()
    assert sorted(shown) == sorted(str(tmp_path / "new" / name) for name in names)
    folder = Store(out).folder(record.key)
    for name in names - {"rows.npz"}:
        with Image.open(tmp_path / "new" / name) as made_anew, Image.open(folder / name) as left:
            # a pixel may round the other way; samples depend on the random numbers of the same seed only
            assert np.abs(np.asarray(made_anew, int) - np.asarray(left, int)).max() <= 1, name


def test_without_a_folder_the_runs_own_is_filled_and_its_record_says_so(made, tmp_path, capsys):
    out, _ = made
    (record,) = [record for record in Store(out).read_all()[0] if record.spec.label == PCA]
    folder = tmp_path / record.key
    folder.mkdir()
    kept = {"checkpoint": "checkpoint.safetensors"}
    (folder / "checkpoint.safetensors").write_bytes(
        (Store(out).folder(record.key) / "checkpoint.safetensors").read_bytes()
    )
    document = json.loads(Store(out).path(record.key).read_text()) | {"artifacts": kept}
    (folder / "record.json").write_text(json.dumps(document))

    assert genbench("gallery", folder, "--json") == 0

    printed = json.loads(capsys.readouterr().out)
    assert printed["run"] == record.key
    assert printed["failed"] == {}
    after = json.loads((folder / "record.json").read_text())
    assert set(after["artifacts"].values()) == {Path(path).name for path in printed["pictures"]} | set(kept.values())
    assert {name: value for name, value in after.items() if name != "artifacts"} == {
        name: value for name, value in json.loads(record.model_dump_json(by_alias=True)).items() if name != "artifacts"
    }


def test_a_link_of_a_pictures_name_is_replaced_and_not_written_through(made, options, tmp_path):
    theirs = tmp_path / "theirs.txt"
    theirs.write_text("mine")
    to = tmp_path / "pictures"
    to.mkdir()
    for name in ("samples.png", "rows.npz"):
        (to / name).symlink_to(theirs)
    assert genbench("gallery", PCA, "--to", to, *options) == 0
    assert theirs.read_text() == "mine"
    assert (to / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert not any(path.is_symlink() or path.name.startswith(".") for path in to.iterdir())


def test_samples_of_a_label(made, options, tmp_path, capsys):
    path = tmp_path / "grid.png"
    assert genbench("sample", "shades", "--n", 9, "--label", 3, "--out", path, *options) == 0
    assert capsys.readouterr().out == f"{path}\n"
    with Image.open(path) as picture:
        assert {int(level) for level in np.unique(np.asarray(picture))} == {85, 255}  # 3/9, and white around it
        assert picture.height < picture.width  # eight in a row, and one


def test_samples_follow_the_seed(made, options, tmp_path):
    content = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert genbench("sample", "chance", "--n", 4, "--seed", seed, "--out", tmp_path / f"{name}.png", *options) == 0
        content.append((tmp_path / f"{name}.png").read_bytes())
    assert content[0] == content[1]
    assert content[0] != content[2]


def test_a_picture_without_a_name_is_named_after_the_run_and_never_overwrites(
    made, options, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (8, 8)).save("a.png")
    keys = {record.spec.label: record.key[:8] for record in Store(made[0]).read_all()[0]}
    (tmp_path / f"samples-chance-{keys['chance']}.png").write_text("mine")
    assert genbench("sample", "chance", "--n", 4, *options) == 0
    assert genbench("reconstruct", PCA, "a.png", *options) == 0
    first, _, second = capsys.readouterr().out.splitlines()
    assert (first, second) == (f"samples-chance-{keys['chance']}-2.png", f"reconstructions-pca-{keys[PCA]}.png")
    assert (tmp_path / f"samples-chance-{keys['chance']}.png").read_text() == "mine"
    for path in (first, second):
        with Image.open(path) as picture:
            assert picture.format == "PNG"


def test_reconstructions_of_files(made, options, tmp_path, capsys):
    Image.new("RGB", (30, 20), "white").save(tmp_path / "a.png")
    Image.new("L", (8, 8)).save(tmp_path / "b.png")
    images = [tmp_path / "a.png", tmp_path / "b.png"]
    assert genbench("reconstruct", PCA, *images, "--out", tmp_path / "rows.png", *options) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{images[0]}: 30x20 pixels, resized and cropped to 8x8, to grey, 17 levels",
        f"{images[1]}: 8x8 pixels, grey, 17 levels",
        str(tmp_path / "rows.png"),
    ]
    with Image.open(tmp_path / "rows.png") as picture:
        pixels = np.asarray(picture)
    assert pixels[20, 20] == 255
    assert pixels[20, 80] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gallery", "pac"], 2, "unknown run 'pac'"),
        (["gallery", PCA, "--to", "FILE/x"], 1, "can't write to "),
        (["sample", "shades", "--out", "x.png", "--label", "10"], 2, "there is no label 10: they are 0 … 9"),
        (["sample", "chance", "--out", "x.png", "--label", "1"], 2, "Chance does not sample by label"),
        (["sample", "chance", "--out", "x.nonsense"], 1, "can't write x.nonsense: "),
        (["sample", "chance", "--out", "absent/x.png"], 1, "can't write absent/x.png: No such file"),
        (["sample", "chance", "--out", "x.png", "--n", "0"], 2, "Invalid value for '--n'"),
        (["reconstruct", "chance", "FILE", "--out", "x.png"], 2, "chance does not reconstruct"),
        (["reconstruct", PCA, "FILE", "--out", "x.png"], 1, "FILE can't be read as an image"),
        (["reconstruct", PCA, "absent.png", "--out", "x.png"], 1, "there is no file absent.png"),
        (["reconstruct", PCA, "--out", "x.png"], 2, "Missing argument 'IMAGE...'"),
    ],
)
def test_what_can_not_be_done_is_one_line(made, options, arguments, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("no image")
    assert genbench(*arguments, *options) == code
    shown = capsys.readouterr()
    assert shown.err.startswith(f"genbench: {message}")
    assert shown.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_without_its_plugin_a_model_is_unknown(made, tmp_path, capsys):
    assert genbench("sample", "shades", "--out", tmp_path / "x.png", "--results", made[0]) == 2
    assert "unknown model 'shades'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gallery", "sample", "reconstruct"])
def test_neither_help_nor_an_unknown_run_imports_torch(name, made):
    for arguments, code in (([name, "--help"], 0), ([name, "zzz", "x", "--results", str(made[0])], 2)):
        if code == 2 and name != "reconstruct":
            arguments.remove("x")
        if code == 2 and name != "gallery":
            arguments += ["--out", "x.png"]
        program = (
            "import sys\nfrom genbench.cli import main\n"
            f"try:\n    main({arguments!r})\n"
            f"except SystemExit as end:\n    assert (end.code or 0) == {code}, end.code\n"
            "assert 'torch' not in sys.modules, 'torch was imported'"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_shell_completes_runs(made):
    words = f"genbench gallery --results {made[0]} pc"
    done = subprocess.run(
        [sys.executable, "-c", "from genbench.cli import main; main()"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {"_GENBENCH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)},
    )
    assert done.stdout.split() == [f"plain,{PCA}"], done.stderr

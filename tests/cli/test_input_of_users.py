"""Whole commands on data as people have them: odd datasets, and folders whose names are odd."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from tests.support.campaigns import COMMAND

from genbench.cli import main
from genbench.results.store import Store

PLUGIN = """
import os
import genbench
import numpy as np
from genbench.data import Dataset, DatasetSource, DataSpec, Split

GENBENCH_API = 1


@genbench.hookimpl
def genbench_datasets():
    for name in ("Floats", "Late", "NoConfig"):
        yield genbench.DatasetEntry(name.lower(), f"odd_sets:{name}", summary=name)


class Floats(DatasetSource):
    def load(self):
        split = Split(np.random.default_rng(0).random((20, 4)))
        return Dataset("mine", DataSpec((4,), "discrete", 256), split, split, split, family="none")


class Late(DatasetSource):
    def load(self):
        loaded = os.environ["GENBENCH_TEST_LOADED"]
        if os.path.exists(loaded):
            os.sys.exit("only once")
        open(loaded, "x").close()
        split = Split(np.arange(80, dtype=np.uint8).reshape(20, 4))
        return Dataset("mine", DataSpec((4,), "discrete", 256), split, split, split, family="none")


class NoConfig(DatasetSource):
    Config = dict

    def load(self):
        raise AssertionError
"""


def genbench(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code


def elsewhere(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which prints all that it is given."""
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:backslashreplace"}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=environment, check=False)


def odd_name(folder: Path, name: bytes) -> Path:
    """A path whose name is no UTF-8."""
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GENBENCH_TEST_LOADED", str(tmp_path / "loaded"))
    path = tmp_path / "odd_sets.py"
    path.write_text(PLUGIN)
    return str(path)


def test_odd_datasets_are_named_and_the_others_go_on(plugin: str, tmp_path: Path) -> None:
    images, out = odd_name(tmp_path, b"im,\xe9"), odd_name(tmp_path, b"caf\xe9")
    for kind in ("cats", "dogs"):
        (images / kind).mkdir(parents=True)
        for i in range(5):
            Image.new("L", (4, 4), 40 * i).save(images / kind / f"{i}.png")
    folder = f'folder[path="{images}",size=4,channels=1]'
    common = ["-m", "pca", "-b", "5steps", "--metrics", "reconstruction", "--device", "cpu"]
    common += ["-p", plugin, "-o", str(out)]

    done = elsewhere("run", "-d", f"digits,floats,{folder},late,noconfig", *common)
    assert done.returncode == 3
    label = f"folder[path=file:{tmp_path}/im%2C%E9,size=4,channels=1]"
    found, floats, config = (line for line in done.stderr.splitlines() if line.startswith("genbench: "))
    assert found == f"genbench: {label}: 10 images in 2 classes (cats 5, dogs 5); 8 train, 1 validation, 1 test"
    assert floats.startswith("genbench: left out: dataset 'floats': train is float64 from 0.")
    assert config.startswith("genbench: left out: dataset 'noconfig': ")
    assert config.endswith("its Config is dict; it should be a subclass of genbench.options.Options")

    records, skipped = Store(out).read_all()
    assert skipped == []
    assert {record.spec.data: record.status for record in records} == {"digits": "ok", "late": "failed", label: "ok"}
    (error,) = (record.error for record in records if record.error is not None)
    assert "dataset 'late': SystemExit: only once (line " in error.message
    command = records[0].provenance["command"]
    assert command[command.index("-o") + 1] == f"{tmp_path}/caf\\xe9"

    done = elsewhere("plan", "-d", f"digits,floats,{folder}", "--json", *common)
    assert done.returncode == 0
    plan = json.loads(done.stdout)
    assert [(run["data"], run["reused"]) for run in plan["runs"]] == [("digits", True), (label, True)]
    assert [cell["data"] for cell in plan["left_out"]] == ["floats"]
    assert list(plan["found"]) == [label]


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ("floats,noconfig", 1, "dataset 'floats': train is float64 from 0."),
        ("folder[path=/nowhere]", 2, "folder: path=/nowhere is no folder"),
    ],
)
def test_without_a_dataset_nothing_is_run(
    plugin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: str, code: int, message: str
) -> None:
    assert genbench("plan", "-m", "pca", "-d", data, "-p", plugin, "-o", str(tmp_path / "out")) == code
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"genbench: {message}")


def test_showing_a_dataset_whose_config_is_none_is_one_line(plugin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert genbench("show", "noconfig", "-p", plugin) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith(":NoConfig: its Config is dict; it should be a subclass of genbench.options.Options")

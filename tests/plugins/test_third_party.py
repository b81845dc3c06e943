"""A real third-party package, built and installed into an environment of its own, with a broken one beside it."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "1.2.3"

[project.entry-points.genbench]
{plugin} = "{module}"

[tool.setuptools]
py-modules = [{modules}]
"""

GOOD = """
import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_models():
    yield genbench.ModelEntry("mean", "mean_model:Mean", family="baseline", summary="the mean image")
"""

MODEL = '''
import torch
from genbench.model import Model, Reconstructor


class Mean(Model, Reconstructor):
    """Reconstructs everything as the mean of the training data."""

    def __init__(self, data, config):
        super().__init__(data, config)
        self.register_buffer("mean", torch.zeros(data.shape))

    def update(self, batch, progress):
        self.mean.copy_(batch.x.mean(0))
        self.done = True
        return {"loss": (batch.x - self.mean).square().mean()}

    def reconstruct(self, x):
        return self.mean.expand_as(x)
'''

BROKEN = "import a_module_that_nobody_has\n"


def build(folder, name, plugin, files):
    """A wheel of a small project with these module files."""
    project = folder / name
    project.mkdir()
    modules = [Path(file).stem for file in files]
    text = PYPROJECT.format(
        name=name, plugin=plugin, module=modules[0], modules=", ".join(f'"{module}"' for module in modules)
    )
    (project / "pyproject.toml").write_text(text)
    for file, content in files.items():
        (project / file).write_text(content)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob(f"{name.replace('-', '_')}-*.whl"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The Python of an environment that sees this one's packages and has the two third-party ones installed."""
    folder = tmp_path_factory.mktemp("third_party")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")}))
    here = sysconfig.get_path("purelib")
    (site / "outer.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    wheels = [
        build(folder, "genbench-mean", "mean", {"mean_plugin.py": GOOD, "mean_model.py": MODEL}),
        build(folder, "genbench-broken", "broken", {"broken_plugin.py": BROKEN}),
    ]
    install = ["-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps", *map(str, wheels)]
    done = subprocess.run([sys.executable, *install], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return python


def genbench(python, *arguments, code=0):
    done = subprocess.run(
        [str(python), "-c", "from genbench.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == code, done.stderr
    return done


def test_it_is_found_with_its_distribution_and_version_and_the_broken_one_with_its_reason(environment):
    listed = {p["name"]: p for p in json.loads(genbench(environment, "plugins", "--json").stdout)}
    mean, broken = listed["mean"], listed["broken"]
    assert (mean["source"], mean["version"], mean["status"]) == ("genbench-mean", "1.2.3", "active")
    assert mean["offers"] == ["mean"]
    assert (broken["source"], broken["version"], broken["status"]) == ("genbench-broken", "1.2.3", "broken")
    assert broken["reason"] == "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"
    models = {m["name"]: m for m in json.loads(genbench(environment, "models", "--json").stdout)}
    assert models["mean"]["from"] == "genbench-mean 1.2.3"


def test_its_model_runs_like_a_built_in_one(environment, tmp_path):
    options = ["-m", "mean,pca", "-b", "5steps", "--metrics", "reconstruction", "-o", str(tmp_path)]
    genbench(environment, "run", *options)
    rows = json.loads(genbench(environment, "table", str(tmp_path), "--format", "json").stdout)
    text = json.dumps(rows)
    assert '"mean"' in text
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/record.json")]
    by_label = {record["spec"]["label"]: record for record in records}
    plugin = by_label["mean"]["provenance"]["plugin"]
    assert (plugin["distribution"], plugin["version"]) == ("genbench-mean", "1.2.3")
    assert len(plugin["source"]) == 12
    errors = {label: record["metrics"][0]["value"] for label, record in by_label.items()}
    assert errors["pca"] < errors["mean"] < 0.2

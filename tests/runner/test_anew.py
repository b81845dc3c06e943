"""Metrics are measured on finished runs, from their checkpoints, as if they had been measured at once."""

import hashlib
import shutil

import pytest
from campaigns import records, run

from genbench.cli import main
from genbench.results.store import Store

METRICS = """
import os
import genbench
from genbench.metrics import Measurement, Metric

GENBENCH_API = 1

@genbench.hookimpl
def genbench_metrics():
    for name in ("odd", "deadly"):
        yield genbench.MetricEntry(name, f"odd:{name.title()}", summary="goes wrong where a file is there")

class Odd(Metric):
    names = ("odd",)
    version = VERSION

    def measure(self, subject):
        if os.path.exists(os.environ["GENBENCH_TEST"] + "/broken"):
            raise ValueError("not today")
        return [Measurement("odd", float(VERSION), "exact", "lower")]

class Deadly(Metric):
    names = ("deadly",)

    def measure(self, subject):
        os._exit(7)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a VAE's and of PCA's finished runs."""
    out = tmp_path_factory.mktemp("finished")
    assert run("vae,pca", out, metrics="likelihood,reconstruction") == 0
    return out


@pytest.fixture
def out(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Writes the plugin file of two metrics, the first in this version; returns its path."""
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))

    def write(version=1):
        path = tmp_path / "odd.py"
        path.write_text(METRICS.replace("VERSION", str(version)))
        return str(path)

    return write


def measure(out, metrics, *more):
    """The exit code of `genbench measure`."""
    with pytest.raises(SystemExit) as end:
        main(["measure", str(out), "--metrics", metrics, *more])
    return end.value.code


def values(record):
    return {value.name: value for value in record.metrics}


def weights(out):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.glob("runs/*/checkpoint.safetensors")}


def test_what_is_missing_is_measured_and_is_what_it_would_have_been(finished, out, tmp_path, capsys):
    before, trained = records(out), weights(out)
    assert run("vae,pca", out, metrics="likelihood,reconstruction,fid[n=300]") == 0
    after = records(out)
    assert run("vae,pca", tmp_path / "at-once", metrics="likelihood,reconstruction,fid[n=300]") == 0
    at_once = records(tmp_path / "at-once")
    assert weights(out) == trained
    for label in ("vae", "pca"):
        assert values(after[label]) == values(at_once[label])
        assert after[label].timing["training"] == before[label].timing["training"]
        (again,) = after[label].provenance["measured"]
        assert again["metrics"] == ["fid"]
        assert after[label].provenance["date"] == before[label].provenance["date"]
        assert after[label].artifacts.items() >= before[label].artifacts.items()
    assert "noise" in after


def test_measure_trains_nothing_and_asks_for_nothing_twice(out, capsys):
    assert measure(out, "likelihood,reconstruction") == 0
    assert "started" not in capsys.readouterr().err
    assert measure(out, "likelihood[k=4]") == 0
    vae = records(out)["vae"]
    assert values(vae)["bits_per_dim"].settings["k"] == 4
    assert "reconstruction_mse" in values(vae)
    assert vae.metric_protocols["likelihood"]["k"] == vae.spec.metrics["likelihood"]["k"] == 4


def test_a_metric_of_another_version_is_measured_again(out, odd):
    assert measure(out, "odd", "-p", odd(1)) == 0
    first = values(records(out)["pca"])["odd"]
    assert measure(out, "odd", "-p", odd(2)) == 0
    second = values(records(out)["pca"])["odd"]
    assert (first.value, second.value) == (1.0, 2.0)
    assert first.protocol != second.protocol


@pytest.mark.parametrize(("metric", "reason"), [("odd", "ValueError: not today"), ("deadly", "exit code 7")])
def test_a_metric_that_fails_costs_the_finished_run_nothing_and_is_retried(out, odd, tmp_path, metric, reason):
    before = records(out)["vae"]
    (tmp_path / "broken").touch()
    assert measure(out, metric, "-p", odd()) == 0
    after = records(out)["vae"]
    assert after.status == "ok"
    assert values(after) == values(before)
    (gap,) = [gap for gap in after.unmeasured if gap.metric == metric]
    assert gap.status == "failed"
    assert reason in gap.reason
    assert Store(out).path(after.key).with_name("checkpoint.safetensors").exists()
    (tmp_path / "broken").unlink()
    measure(out, "odd", "-p", odd())
    assert values(records(out)["vae"])["odd"].value == 1.0


def test_a_run_that_can_not_be_measured_any_more_is_left_as_it_is(out, capsys):
    key = records(out)["vae"].key
    Store(out).path(key).with_name("checkpoint.safetensors").unlink()
    before = records(out)
    assert measure(out, "fid[n=300]") == 3
    after = records(out)
    assert f"({key}): it has no checkpoint" in capsys.readouterr().err
    assert after["vae"] == before["vae"]
    assert "fid" in values(after["pca"])


def test_a_folder_without_finished_runs_is_refused(tmp_path, capsys):
    assert run("raises", tmp_path) == 4
    assert measure(tmp_path, "default") == 2
    assert "no run is finished" in capsys.readouterr().err

"""A checkpoint holds any tensors that its file can hold, and one that can't be written costs nothing but itself."""

import os
from pathlib import Path

import pytest
import torch
from campaigns import records, run
from safetensors.torch import load_file, save_model
from torch import nn

from genbench.cli import main
from genbench.data import DataSpec
from genbench.errors import GenbenchError
from genbench.model import Model, ModelConfig
from genbench.runner.checkpoint import load_weights, save_weights


def tied(model):
    model.decoder = nn.Linear(2, 3, bias=False)
    model.decoder.weight = model.encoder.weight


def tied_transposed(model):
    model.decoder = nn.Linear(2, 3, bias=False)
    model.decoder.weight.data = model.encoder.weight.data.t()


def part_of(model):
    model.register_buffer("front", model.encoder.weight.data[:1])


def strided(model):
    model.register_buffer("other", torch.arange(12.0).view(3, 4).t())


def expanded(model):
    model.register_buffer("other", torch.rand(1).expand(5))


def scalar_and_none(model):
    model.register_buffer("count", torch.tensor(3))
    model.register_buffer("nothing", None)


def empty(model):
    model.register_buffer("queue", torch.empty(0, 8))


def weight_norm(model):
    model.encoder = nn.utils.parametrizations.weight_norm(model.encoder)


def conjugated(model):
    model.register_buffer("phase", torch.full((3,), 1j).conj())


def float8(model):
    model.register_buffer("small", torch.ones(3).to(torch.float8_e4m3fn))


def sparse(model):
    model.register_buffer("graph", torch.eye(3).to_sparse())


def double_complex(model):
    model.register_buffer("phase", torch.zeros(3, dtype=torch.complex128))


def lazy(model):
    model.lazy = nn.LazyLinear(3)


class Odd(Model):
    def __init__(self, extra):
        super().__init__(DataSpec((2,), "continuous"), ModelConfig())
        self.encoder = nn.Linear(3, 2, bias=False)
        extra(self)

    def update(self, batch, progress):
        raise NotImplementedError


class Extra(Odd):
    def get_extra_state(self):
        return {"text": "x"}


SAVED = (tied, tied_transposed, part_of, strided, expanded, scalar_and_none, empty, weight_norm, conjugated, float8)


def same(one, other):
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("extra", SAVED)
def test_any_dense_tensors_come_back_as_they_were(extra, tmp_path):
    model, again = Odd(extra), Odd(extra)
    save_weights(model, tmp_path / "new.safetensors")
    assert load_file(tmp_path / "new.safetensors").keys() == model.state_dict().keys()
    load_weights(again, tmp_path / "new.safetensors")
    same(model, again)


@pytest.mark.parametrize("extra", [tied, part_of, scalar_and_none, weight_norm])
def test_a_file_of_old_has_one_of_several_that_share_memory(extra, tmp_path):
    model, again = Odd(extra), Odd(extra)
    save_model(model, str(tmp_path / "old.safetensors"))
    load_weights(again, tmp_path / "old.safetensors")
    same(model, again)


def test_weights_that_are_tied_no_longer_come_back_each_as_it_was(tmp_path):
    """As on a GPU, where `.data` is moved tensor by tensor."""
    model, again = Odd(tied_transposed), Odd(tied_transposed)
    model.decoder.weight.data = torch.rand(3, 2)
    save_weights(model, tmp_path / "new.safetensors")
    load_weights(again, tmp_path / "new.safetensors")
    same(model, again)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: Odd(sparse), "the sparse_coo float32 tensor graph can't be saved: RuntimeError: "),
        (lambda: Odd(double_complex), "the complex128 tensor phase can't be saved: KeyError: torch.complex128"),
        (lambda: Odd(lazy), "the float32 tensor lazy.weight can't be saved: ValueError: Attempted to use an uninit"),
        (lambda: Extra(strided), "_extra_state is a dict, not a tensor"),
    ],
)
def test_what_no_file_can_hold_is_named(made, reason, tmp_path):
    with pytest.raises(GenbenchError) as raised:
        save_weights(made(), tmp_path / "new.safetensors")
    assert str(raised.value).startswith(reason)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    save_weights(Odd(strided), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(Odd(strided), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


PLUGIN = """
import sys, time
from pathlib import Path
import torch
import genbench
from pydantic import Field
from genbench.metrics import Measurement, Metric
from genbench.model import GradientConfig, GradientModel, Reconstructor
GENBENCH_API = 1

@genbench.hookimpl
def genbench_models():
    yield genbench.ModelEntry("odd", "oddly_saved:Odd", family="fake", summary="is oddly saved")

@genbench.hookimpl
def genbench_metrics():
    for name in ("exits", "oddly"):
        yield genbench.MetricEntry(name, f"oddly_saved:{name.capitalize()}", summary="an odd metric")

class Odd(GradientModel, Reconstructor):
    class Config(GradientConfig):
        how: str = Field("sparse", description="what is odd")

    def __init__(self, data, config):
        super().__init__(data, config)
        self.how = config.how
        self.scale = torch.nn.Parameter(torch.ones(1))
        if self.how == "sparse":
            self.register_buffer("graph", torch.eye(3).to_sparse())

    def reconstruct(self, x):
        return x * self.scale

    def loss(self, batch, progress):
        self.misbehave()
        return {"loss": (self.reconstruct(batch.x) - 0.5).square().mean()}

    def misbehave(self):
        if self.how == "folder":
            folder = Path("/proc/self/fd/1").readlink().parent
            (folder / "checkpoint.safetensors").mkdir(exist_ok=True)
            (folder / "samples.png").mkdir(exist_ok=True)
        if self.how == "clock":
            time.perf_counter = time.monotonic = time.time = lambda: 0.0
        if self.how == "streams":
            sys.stdout.close()
            sys.stderr.close()

    def training_state(self):
        return {"hook": lambda: None}

class Exits(Metric):
    names = ("exits",)
    def measure(self, subject):
        sys.exit(0)

class Oddly(Metric):
    names = ("oddly",)
    def measure(self, subject):
        subject.progress("half")
        return [Measurement("oddly", torch.tensor(1.0), "exact", "lower", settings={"weights": torch.ones(2)})]
"""


def test_what_can_not_be_saved_costs_nothing_but_itself(tmp_path, capsys):
    plugin = tmp_path / "oddly_saved.py"
    plugin.write_text(PLUGIN)
    models = ",".join(f"odd[how={how}]" for how in ("sparse", "folder", "clock", "streams"))
    assert run(models, tmp_path / "out", "-p", str(plugin), metrics="reconstruction,exits,oddly", budget="1s") == 0
    found = records(tmp_path / "out")
    reasons = {label: record.provenance.get("unsaved", {}).get("checkpoint") for label, record in found.items()}
    assert reasons["odd"].startswith("the sparse_coo float32 tensor graph can't be saved: ")
    assert reasons["odd[how=folder]"] == "Is a directory"
    assert reasons["odd[how=clock]"] is reasons["odd[how=streams]"] is None
    for record in found.values():
        assert {value.name for value in record.metrics} == {"reconstruction_mse", "oddly"}
        assert [(gap.metric, gap.reason) for gap in record.unmeasured] == [("exits", "SystemExit: 0")]
        assert record.metric_seconds.keys() == {"reconstruction", "exits", "oddly"}
        assert 0 < sum(record.metric_seconds.values()) < record.timing["evaluation"]
        assert record.budget.used.seconds >= 1.0
        assert ("checkpoint" in record.artifacts) is (reasons[record.spec.label] is None)
    log = Path(tmp_path / "out" / "runs" / found["odd"].key / "log.txt").read_text()
    assert log.count("could not save the state") == 1
    assert "there is no checkpoint: " in log

    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["sample", found["odd"].key, "--results", str(tmp_path / "out"), "--out", "x.png"])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(
        f"genbench: run {found['odd'].key} (odd on digits, 1s, seed 0) has no checkpoint: the sparse_coo"
    )
    assert said.count("\n") == 1

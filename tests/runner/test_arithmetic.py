"""Precision and compilation of training steps."""

import copy
import math
import shutil
import time

import numpy as np
import pytest
import torch
from campaigns import FAKES, records, run

from genbench.cli import main
from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.model import Batch
from genbench.plan.budget import Budget
from genbench.report.protocols import row_label
from genbench.runner.arithmetic import Compiled, arithmetic, compiling, use_tf32, warm_up
from genbench.runner.loop import train
from genbench_ae.linear_ae import LinearAE
from genbench_ae.pca import PCA
from genbench_gan.dcgan import DCGAN

CPU = torch.device("cpu")
DATA = DataSpec((1, 8, 8), "discrete", 17, 10)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")


@pytest.fixture
def batch():
    return Batch(torch.randint(0, 17, (32, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 16)


@pytest.fixture
def no_slower(monkeypatch):
    """All steps take the same time, so that how fast a tiny one is has no influence."""
    monkeypatch.setattr("genbench.runner.arithmetic._seconds", lambda step, device: [1.0])


def precision_of_products():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.fixture
def ieee():
    before = precision_of_products()
    use_tf32(False)
    yield ("highest", False)
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def test_fp32_is_ieee_also_in_convolutions_and_tf32_is_for_updates_only(ieee):
    assert precision_of_products() == ieee
    with arithmetic(CPU, "fp32"):
        assert precision_of_products() == ieee
    with arithmetic(CPU, "tf32"):
        assert precision_of_products() == ("high", True)
    with pytest.raises(KeyError), arithmetic(CPU, "tf32"):
        raise KeyError
    assert precision_of_products() == ieee


def test_bf16_is_autocast():
    with arithmetic(CPU, "bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@needs_compiler
def test_a_compiled_loss_has_the_same_value_and_gradients_and_the_model_is_itself_in_between(batch):
    torch.manual_seed(0)
    model = LinearAE(DATA, LinearAE.Config(latent_dim=3))
    model.setup(batch)
    twin = copy.deepcopy(model)
    compilation = compiling(model, CPU, compiled=True)
    with compilation:
        assert "loss" in vars(model)
        found = model.loss(batch, 0.5)["loss"]
    assert "loss" not in vars(model)
    expected = twin.loss(batch, 0.5)["loss"]
    found.backward()
    expected.backward()
    torch.testing.assert_close(found, expected)
    assert any(parameter.grad.any() for parameter in model.parameters())
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@needs_compiler
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # dynamo looks at what it traces
def test_what_was_compiled_for_a_twin_is_not_compiled_again(batch, no_slower):
    """For a model without a loss its networks are compiled; as the loop warms up, off the clock."""
    model = DCGAN(DATA, DCGAN.Config(width=4, latent_dim=4))
    twin = copy.deepcopy(model)
    assert warm_up(Compiled(twin, CPU), CPU, lambda progress: twin.update(batch, progress)) is None
    with torch.compiler.set_stance("fail_on_recompile"), Compiled(model, CPU):
        for step in range(10):
            model.update(batch, step / 10)
    assert model.state_dict().keys() == DCGAN(DATA, DCGAN.Config(width=4, latent_dim=4)).state_dict().keys()


def test_what_is_not_compiled_is_left_alone():
    model = LinearAE(DATA, LinearAE.Config())
    with compiling(model, CPU, compiled=False):
        assert "loss" not in vars(model)


@needs_compiler
def test_a_run_says_that_it_was_compiled(tmp_path):
    options = ["--metrics", "reconstruction", "--device", "cpu", "-p", FAKES, "-b", "20steps", "-o", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        main(["run", "-m", "fine", *options, "--compile"])
    assert end.value.code == 0
    record = records(tmp_path)["fine"]
    assert record.spec.compile
    assert row_label(record) == "fine · compiled"
    # so small a model may be slower for it
    assert record.provenance["compile"].startswith(("compiled", "plain: compiled, a step takes "))
    assert "compiled" in (tmp_path / "report.html").read_text()
    with pytest.raises(SystemExit) as end:
        main(["run", "-m", "fine", *options])
    assert end.value.code == 0
    assert len({path.name for path in tmp_path.glob("runs/*")}) == 2


class Scheduled(LinearAE):
    """Its loss is weighted by a function of progress."""

    def __init__(self, data, config, weight):
        super().__init__(data, config)
        self.weight = weight

    def loss(self, batch, progress):
        losses = super().loss(batch, progress)
        return losses | {"loss": losses["loss"] * (1 + self.weight(progress))}


def exponential(progress):
    """Isn't traced, unlike a cosine: every progress is compiled for itself."""
    return math.exp(progress)


def bent(progress):
    """Is compiled for either side of each bend."""
    return min(1.0, progress / 0.15) + max(0.0, progress - 0.25)


@pytest.fixture
def traced(monkeypatch):
    """Compilation without a compiler: steps are traced, guarded and traced anew, and then run as they are."""
    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, mode: compile_with(function, backend="eager"))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def trained(model, compiled=True):
    """What `train` leaves of five steps on noise."""

    def split(n):
        rng = np.random.default_rng(n)
        return Split(rng.integers(0, 17, (n, 1, 8, 8), dtype=np.uint8), rng.integers(0, 10, n))

    dataset = Dataset("noise", DATA, split(64), split(8), split(8), family="noise")
    ours, validation = (DeviceSplit(dataset, name, CPU) for name in ("train", "validation"))
    return train(
        model,
        ours,
        validation,
        Budget(steps=5),
        seed=0,
        precision="fp32",
        compiled=compiled,
        select="last",
        emit=lambda _: None,
        quick=lambda _: {},
        keep=lambda _: None,
    )


@pytest.mark.parametrize(
    ("weight", "said"),
    [(exponential, "plain: it would be compiled anew at every step"), (bent, "compiled"), (math.cos, "compiled")],
)
def test_a_step_that_is_compiled_anew_for_every_progress_is_not_compiled(traced, no_slower, weight, said):
    torch.manual_seed(0)
    model = Scheduled(DATA, LinearAE.Config(latent_dim=2), weight)
    twin = copy.deepcopy(model)
    result = trained(model)
    assert result.compilation == said
    assert trained(twin, compiled=False).compilation is None
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_can_not_be_compiled_is_trained_as_it_is(monkeypatch, capfd):
    def broken(function, mode):
        def fail(*_):
            raise RuntimeError("no compiler: g++ not found\nset TORCH_LOGS")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    result = trained(LinearAE(DATA, LinearAE.Config(latent_dim=2)))
    assert result.compilation == "plain: it can't be compiled: RuntimeError: no compiler: g++ not found"
    assert result.clock.steps == 5
    assert "set TORCH_LOGS" in capfd.readouterr().err  # the log has it all


def test_what_is_slower_for_it_is_not_compiled(monkeypatch):
    def slowed(function, mode):
        def slow(*arguments):
            time.sleep(0.2)
            return function(*arguments)

        return slow

    monkeypatch.setattr(torch, "compile", slowed)
    result = trained(LinearAE(DATA, LinearAE.Config(latent_dim=2)))
    assert result.compilation.startswith("plain: compiled, a step takes 0.2")


def test_a_model_that_is_fitted_at_once_is_not_compiled():
    assert trained(PCA(DATA, PCA.Config())).compilation == "plain: it is fitted in one step"


def test_a_run_without_a_compiler_is_trained_as_it_is_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    out = tmp_path / "out"
    assert run("fine", out, "--compile") == 0
    record = records(out)["fine"]
    assert record.provenance["compile"].startswith("plain: it can't be compiled: ")
    assert f"trained {record.provenance['compile']}" in " ".join(capsys.readouterr().err.split())

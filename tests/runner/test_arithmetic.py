"""Precision and compilation of training steps."""

import copy
import shutil
from dataclasses import replace

import pytest
import torch
from campaigns import FAKES, records

from genbench.cli import main
from genbench.data import DataSpec
from genbench.model import Batch
from genbench.plan.spec import RunSpec
from genbench.runner.arithmetic import WARM_UP, Compiled, arithmetic, compiling, use_tf32
from genbench_ae.linear_ae import LinearAE
from genbench_gan.dcgan import DCGAN

CPU = torch.device("cpu")
DATA = DataSpec((1, 8, 8), "discrete", 17, 10)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")


@pytest.fixture
def batch():
    return Batch(torch.randint(0, 17, (32, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 16)


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
def test_what_was_compiled_for_a_twin_is_not_compiled_again(batch):
    """For a model without a loss its networks are compiled; as the loop warms up, off the clock."""
    model = DCGAN(DATA, DCGAN.Config(width=4, latent_dim=4))
    twin = copy.deepcopy(model)
    with Compiled(twin, CPU):
        for progress in WARM_UP:
            twin.update(batch, progress)
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
    assert record.protocol["compile"]
    assert "compiled" in (tmp_path / "report.html").read_text()
    with pytest.raises(SystemExit) as end:
        main(["run", "-m", "fine", *options])
    assert end.value.code == 0
    assert len({path.name for path in tmp_path.glob("runs/*")}) == 2


def test_the_key_of_a_run_that_is_not_compiled_is_what_it_was_before_there_was_a_choice():
    run = RunSpec(
        **dict.fromkeys(("model", "family", "label", "target", "dataset", "data", "dataset_target"), "x"),
        **{key: {} for key in ("config", "dataset_config", "view", "metrics", "metric_targets", "protocol")},
        plugin=("x", "1"),
        fingerprint="x",
        budget="1steps",
        seed=0,
        precision="fp32",
        device="cpu",
        select="best",
    )
    assert run.key == "74842baecadb7972"
    assert replace(run, compile=True).key != run.key

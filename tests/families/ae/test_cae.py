import copy
import math

import pytest
import torch

from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_ae.cae import CAE

SPECS = {
    "digits": DataSpec((1, 8, 8), "discrete", levels=17),
    "mnist": DataSpec((1, 28, 28), "binary", levels=2),
    "colour": DataSpec((3, 12, 10), "discrete", levels=256),
    "vectors": DataSpec((20,), "continuous"),
    "plane": DataSpec((2,), "continuous"),
}
NETWORKS = {
    "deep": {},
    "shallow": {"layers": 0, "nodes": "1"},
    "untied": {"tied": False},
    "linear": {"code": "linear"},
    "exact": {"jacobian": "exact", "latent_dim": 2},
    "conv": {"network": "conv", "width": 4},
}


def data_points(spec, n=24):
    torch.manual_seed(0)
    if spec.levels is None:
        return torch.randn(n, *spec.shape)
    return torch.randint(spec.levels, (n, *spec.shape)).float() / (spec.levels - 1)


def build(spec, **options):
    torch.manual_seed(1)
    return CAE(spec, CAE.Config(**options))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_every_network_is_trained_on_every_kind_of_data(spec, options):
    if options.get("network") == "conv" and not spec.is_image:
        with pytest.raises(UnsupportedData, match="needs images"):
            build(spec, **options)
        return
    model = build(spec, **options)
    batch = Batch(data_points(spec))
    for progress in (0.0, 0.5):
        scalars = model.train().update(batch, progress)
        assert set(scalars) == {"loss", "error", "contraction"}
        assert all(value.shape == () and not value.requires_grad for value in scalars.values())
        assert all(math.isfinite(float(value)) and float(value) > 0 for value in scalars.values())
        torch.testing.assert_close(scalars["loss"], scalars["error"] + 0.1 * scalars["contraction"])
    assert not batch.x.requires_grad
    model.eval()
    with torch.no_grad():
        loss = model.validation_loss(batch)
        codes = model.encode(batch.x)
        assert torch.equal(model.decode(codes), model.reconstruct(batch.x))
        model.finish(batch)
        assert model.sample(3).shape == (3, *spec.shape)
    assert not loss.requires_grad
    if model.config.code == "sigmoid":
        assert 0 <= float(codes.min()) < float(codes.max()) <= 1


def test_the_penalty_shrinks_the_jacobian_of_the_code():
    x = data_points(SPECS["digits"], 200)
    found = []
    for weight in (1e-6, 10.0):
        model = build(SPECS["digits"], weight=weight, layers=0, nodes="1", learning_rate=1e-2)
        for step in range(100):
            scalars = model.update(Batch(x), step / 100)
        found.append(float(scalars["contraction"]))
    assert found[1] < 0.5 * found[0]


def test_tied_weights_are_stored_once_and_learn_from_both_sides():
    model = build(SPECS["digits"], latent_dim=4, nodes="12-10", weight=0.0)
    names = [name for name, _ in model.named_parameters()]
    assert sorted(name for name in names if name.startswith("decoder")) == [f"decoder.biases.{i}" for i in range(3)]
    assert [tuple(bias.shape) for bias in model.decoder.biases] == [(10,), (12,), (64,)]
    assert {name for name in model.state_dict() if name.startswith("decoder")} == set(names) - {
        name for name in names if not name.startswith("decoder")
    }
    x = data_points(SPECS["digits"])
    z = torch.rand(5, 4)
    (model.decoder(z) - x[:5]).square().sum().backward()
    first = next(model.encoder.parameters())
    assert first.grad is not None
    assert float(first.grad.abs().max()) > 0
    weights = [p for p in model.encoder.parameters() if p.dim() == 2]
    silu = torch.nn.functional.silu
    with torch.no_grad():
        expected = silu(silu(z @ weights[2]) @ weights[1]) @ weights[0]
        torch.testing.assert_close(model.decoder(z).flatten(1), expected)


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_a_checkpoint_and_a_copy_are_the_same_model(options):
    spec = SPECS["digits"]
    model = build(spec, **options)
    twin = copy.deepcopy(model)
    batch = Batch(data_points(spec))
    for each in (model, twin):
        torch.manual_seed(4)
        each.update(batch, 0.2)
        each.update(batch, 0.4)
    other = CAE(spec, model.config)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        restored = [each.eval().reconstruct(batch.x) for each in (model, twin, other)]
    assert torch.equal(restored[0], restored[1])
    assert torch.equal(restored[0], restored[2])


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_training_in_half_precision_stays_finite(options):
    model = build(SPECS["digits"], **options)
    batch = Batch(data_points(SPECS["digits"]))
    for progress in (0.0, 0.5):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scalars = model.update(batch, progress)
        assert math.isfinite(float(scalars["loss"]))
    assert all(bool(value.isfinite().all()) for value in model.state_dict().values())

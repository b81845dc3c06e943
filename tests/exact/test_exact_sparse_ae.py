"""The sparse autoencoder: what its loss is, and what it is without weight."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, kl_divergence

from genbench.model import Batch, DataSpec
from genbench_ae.ae import AE
from genbench_ae.sparse_ae import SparseAE, kl

IMAGES = DataSpec((1, 8, 8), "discrete", levels=17)
VECTORS = DataSpec((6,), "continuous")


def images(n=32, seed=0):
    return torch.randint(17, (n, 1, 8, 8), generator=torch.Generator().manual_seed(seed)).float() / 16


def build(cls, data=IMAGES, **options):
    torch.manual_seed(1)
    return cls(data, cls.Config(**options))


@pytest.mark.parametrize("network", ["conv", "mlp"])
@pytest.mark.parametrize(
    ("penalty", "code"), [("kl", "sigmoid"), ("kl", "linear"), ("l1", "linear"), ("l2", "relu"), ("l2", "linear")]
)
def test_without_weight_it_is_the_plain_autoencoder_bit_for_bit(network, penalty, code):
    common = {"network": network, "latent_dim": 80} | ({"nodes": "50-30"} if network == "mlp" else {"width": 4})
    sparse = build(SparseAE, penalty=penalty, code_activation=code, weight="0-0-0", **common)
    plain = build(AE, **common)
    if code != "linear":  # the code of `ae` always is
        plain.encoder = nn.Sequential(plain.encoder, {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}[code]())
    for step in range(5):
        batch = Batch(images(seed=step))
        losses = [model.update(batch, step / 5)["loss"] for model in (sparse, plain)]
        assert torch.equal(*losses)
    assert all(map(torch.equal, sparse.parameters(), plain.parameters()))
    assert torch.equal(sparse.validation_loss(batch), plain.validation_loss(batch))
    weighted = build(SparseAE, penalty="l1", code_activation=code, weight="0.01", **common)
    weighted.update(Batch(images(seed=0)), 0.0)
    fresh = build(SparseAE, penalty="l1", code_activation=code, weight="0", **common)
    fresh.update(Batch(images(seed=0)), 0.0)
    assert not all(map(torch.equal, weighted.parameters(), fresh.parameters()))


@pytest.mark.parametrize("target", [0.02, 0.3, 0.9])
def test_divergence_and_its_gradient_vanish_at_the_target_and_nowhere_else(target):
    mean = torch.tensor([target, 0.01, 0.5, 0.99], dtype=torch.float64, requires_grad=True)
    values = kl(target, mean)
    (gradient,) = torch.autograd.grad(values.sum(), mean)
    known = kl_divergence(Bernoulli(torch.tensor(target, dtype=torch.float64)), Bernoulli(mean.detach()))
    torch.testing.assert_close(values.detach(), known, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(gradient, ((1 - target) / (1 - mean) - target / mean).detach(), rtol=1e-9, atol=1e-12)
    assert abs(float(values[0].detach())) < 1e-15
    assert abs(float(gradient[0])) < 1e-12
    assert bool((values.detach()[1:] > 1e-3).all())
    assert bool((gradient[1:].sign() == (mean[1:] - target).sign()).all())


def test_units_that_are_always_on_or_off_have_a_finite_penalty():
    for dtype in (torch.float32, torch.bfloat16):
        h = torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=dtype, requires_grad=True)
        value = build(SparseAE).penalty(h, 0.05)
        value.backward()
        assert bool(torch.isfinite(value))
        assert bool(torch.isfinite(h.grad).all())
        assert value > 10


def test_the_mean_is_that_of_a_unit_over_the_batch_not_of_a_data_point_over_units():
    model = build(SparseAE, VECTORS)
    units_alike = torch.tensor([[0.0, 0.0], [0.2, 0.2]])  # each unit's mean is 0.1, the points' are 0 and 0.2
    points_alike = torch.tensor([[0.0, 0.2], [0.0, 0.2]])  # the other way round
    assert float(model.penalty(units_alike, 0.1)) == pytest.approx(0, abs=1e-6)
    assert float(model.penalty(points_alike, 0.1)) > 0.1


@pytest.mark.parametrize("penalty", ["kl", "l1", "l2"])
def test_the_loss_is_the_error_summed_over_dimensions_plus_weighted_penalties_summed_over_units(penalty):
    """By hand, layer by layer, for a network of one hidden layer."""
    model = build(
        SparseAE, VECTORS, penalty=penalty, nodes="7", activation="sigmoid", weight="0.3-2", target="0.2-0.05"
    )
    x = torch.randn(9, 6)
    first, last = (layer for layer in model.encoder.modules() if isinstance(layer, nn.Linear))
    h = torch.sigmoid(first(x))
    z = torch.sigmoid(last(h))
    expected = (model.decoder(z) - x).square().sum() / 9
    for units, weight, target in ((h, 0.3, 0.2), (z, 2.0, 0.05)):
        if penalty == "kl":
            p, q = Bernoulli(torch.tensor(target)), Bernoulli(units.mean(0))
            expected = expected + weight * kl_divergence(p, q).sum()
        else:
            expected = expected + weight * units.pow(1 if penalty == "l1" else 2).sum() / 9
    scalars = model.loss(Batch(x), 0.5)
    torch.testing.assert_close(scalars["loss"], expected)
    torch.testing.assert_close(scalars["activation"], z.mean())
    torch.testing.assert_close(scalars["activation_1"], h.mean())
    twice = model.loss(Batch(torch.cat([x, x])), 0.5)
    torch.testing.assert_close(twice["loss"], scalars["loss"])  # no weight depends on the batch's size

"""Flows against autograd and quadrature, the histogram against enumeration."""

import itertools
import math

import pytest
import torch
from torch import nn

from genbench.model import Batch, DataSpec
from genbench_flow.bijections import ActNorm, Coupling, FactorOut, Flatten, Logit, Squeeze, checkerboard, half_channels
from genbench_flow.independent import Independent
from genbench_flow.realnvp import RealNVP

IMAGES = [
    DataSpec((1, 4, 4), "discrete", 17),
    DataSpec((3, 4, 4), "discrete", 256),
    DataSpec((1, 6, 6), "binary", 2),
    DataSpec((1, 5, 3), "discrete", 4),
]
VECTORS = [DataSpec((2,), "continuous"), DataSpec((5,), "continuous"), DataSpec((4,), "discrete", 5)]


def scrambled(spec, **options):
    """A RealNVP in float64 whose every parameter is random, so that no term of the log-determinant vanishes."""
    torch.manual_seed(0)
    model = RealNVP(spec, RealNVP.Config(width=8, couplings=2, **options)).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


def points(spec, n):
    x = torch.rand(n, *spec.shape, dtype=torch.float64)
    return x if spec.levels is not None else 4 * x - 2


@pytest.mark.parametrize("spec", IMAGES + VECTORS, ids=str)
def test_the_log_determinant_is_autograd_s(spec):
    model = scrambled(spec)
    for x in points(spec, 3):
        jacobian = torch.autograd.functional.jacobian(
            lambda flat: model.flow(flat.view(1, *spec.shape))[0][0], x.flatten()
        )
        assert jacobian.shape == (spec.dims, spec.dims)
        assert torch.allclose(model.flow(x[None])[1][0], torch.linalg.slogdet(jacobian).logabsdet)


@pytest.mark.parametrize("spec", IMAGES + VECTORS, ids=str)
def test_the_inverse_undoes_the_flow_both_ways(spec):
    model = scrambled(spec)
    x = points(spec, 4)
    z, _ = model.flow(x)
    assert torch.allclose(model.flow.inverse(z), x, atol=1e-8)
    z = 0.5 * torch.randn(4, spec.dims, dtype=torch.float64)
    assert torch.allclose(model.flow(model.flow.inverse(z))[0], z, atol=1e-8)


def test_the_density_of_two_dimensions_integrates_to_one():
    spec = DataSpec((2,), "continuous")
    torch.manual_seed(0)
    model = RealNVP(spec, RealNVP.Config(width=8)).double().eval()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    side = torch.linspace(-20, 20, 1001, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        density = torch.cat([model.log_prob(part) for part in grid.split(200_000)]).exp()
    assert density.sum().item() * (40 / 1000) ** 2 == pytest.approx(1.0, abs=2e-3)


def test_the_density_of_dequantised_data_integrates_to_one_but_for_what_the_logit_leaves_outside():
    spec = DataSpec((2,), "discrete", 4)
    model = scrambled(spec, alpha=1e-3)
    n = 600
    side = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    with torch.no_grad():
        inside = model.log_prob(torch.cartesian_prod(side, side)).exp().mean().item()
        x = model.flow.inverse(torch.randn(100_000, 2, dtype=torch.float64))
    share = ((x >= 0) & (x < 1)).all(1).double().mean().item()
    assert inside <= 1.0 + 1e-3
    assert inside == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / 100_000) + 2e-3)


@pytest.mark.parametrize("spec", [IMAGES[0], VECTORS[1]], ids=str)
def test_data_dependent_initialisation_gives_mean_0_and_variance_1(spec):
    torch.manual_seed(0)
    model = RealNVP(spec, RealNVP.Config())
    x = torch.randint(0, 17, (400, *spec.shape)) / 16.0 if spec.levels else 5 + 3 * torch.randn(400, *spec.shape)
    model.setup(Batch(x))
    z = model.eval().encode(x)
    tolerance = 0.1 if spec.levels else 1e-4  # dequantisation noise is drawn anew
    assert z.mean(0).abs().max() < tolerance
    assert (z.var(0, correction=0) - 1).abs().max() < 2 * tolerance


def test_masks_and_squeezes():
    assert checkerboard((1, 2, 3)).tolist() == [[[1, 0, 1], [0, 1, 0]]]
    assert checkerboard((3,)).tolist() == [1, 0, 1]
    assert half_channels((4, 1, 1)).flatten().tolist() == [1, 1, 0, 0]
    x = torch.arange(16.0).view(1, 1, 4, 4)
    squeezed, log_det = Squeeze()(x)
    assert squeezed[0, :, 0, 0].tolist() == [0, 1, 4, 5]
    assert log_det.tolist() == [0]
    assert torch.equal(Squeeze().inverse(squeezed), x)


def test_a_coupling_leaves_what_is_masked_as_it_is():
    torch.manual_seed(0)
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0])
    coupling = Coupling(mask, nn.Linear(4, 8))
    x = torch.randn(6, 4)
    z, _ = coupling(x)
    assert torch.equal(z[:, ::2], x[:, ::2])
    assert not torch.isclose(z[:, 1::2], x[:, 1::2]).any()


def test_the_logit_and_the_normalisation_have_their_closed_form():
    x = torch.tensor([[0.2, 0.9]], dtype=torch.float64)
    alpha = 0.05
    p = alpha + (1 - 2 * alpha) * x
    z, log_det = Logit(alpha)(x)
    assert torch.allclose(z, torch.log(p / (1 - p)))
    assert torch.allclose(log_det, ((1 - 2 * alpha) / (p * (1 - p))).log().sum(1))
    norm = ActNorm((2,)).double()
    norm.initialize(torch.tensor([[0.0, 1.0], [4.0, 3.0]], dtype=torch.float64))
    assert torch.allclose(norm(x)[1], -torch.tensor([2.0, 1.0]).log().sum().double())


def test_factoring_out_keeps_every_dimension():
    shape = (2, 2, 2)
    part = FactorOut(shape, Flatten((1, 2, 2)))
    x = torch.randn(3, *shape)
    z, log_det = part(x)
    assert z.shape == (3, 8)
    assert log_det.abs().sum() == 0
    assert torch.equal(part.inverse(z), x)


def test_the_histogram_sums_to_one_over_all_small_images():
    spec = DataSpec((1, 2, 2), "discrete", 3)
    torch.manual_seed(0)
    model = Independent(spec, Independent.Config())
    model.update(Batch(torch.randint(0, 3, (7, 1, 2, 2)) / 2.0), 0.0)
    assert model.done
    every = torch.tensor(list(itertools.product((0.0, 0.5, 1.0), repeat=4))).view(-1, 1, 2, 2)
    assert model.log_prob(every).double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_the_histogram_of_uniform_data_scores_the_levels_bits():
    spec = DataSpec((1, 1, 2), "discrete", 4)
    model = Independent(spec, Independent.Config())
    x = torch.tensor(list(itertools.product(range(4), repeat=2))).view(-1, 1, 1, 2) / 3.0
    model.update(Batch(x), 0.0)
    bits = -model.log_prob(x).mean().item() / (2 * math.log(2))
    assert bits == pytest.approx(2.0, abs=1e-6)

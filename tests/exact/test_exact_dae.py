"""Linear denoising autoencoders against the closed form of each corruption."""

import itertools

import pytest
import torch

from genbench.model import Batch
from genbench.selftest.base import standard_errors
from genbench_ae.selftest_dae import AMOUNTS, DIMS, LEVELS, linear_dae, noisy_moments

DRAWS = 50


@pytest.fixture(scope="module")
def points():
    """Correlated points `(20, 5)` on a grid of 9 levels, in float64."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(LEVELS, (20, 1), generator=draw) + torch.randint(-2, 3, (20, DIMS), generator=draw)
    return x.clamp(0, LEVELS - 1).double() / (LEVELS - 1)


@pytest.mark.parametrize(
    ("corruption", "fates"),
    [
        ("masking", [(0.7, 1.0, 0.0), (0.3, 0.0, 0.0)]),
        ("salt-and-pepper", [(0.7, 1.0, 0.0), (0.15, 0.0, 0.0), (0.15, 0.0, 1.0)]),
    ],
)
def test_moments_by_enumeration_of_all_corruptions(points, corruption, fates):
    """A dimension's fate is (probability, factor, constant): it becomes factor · x + constant."""
    A, B = torch.zeros(DIMS, DIMS, dtype=torch.float64), torch.zeros(DIMS, DIMS, dtype=torch.float64)
    for fate in itertools.product(fates, repeat=DIMS):
        probability, factor, constant = torch.tensor(fate, dtype=torch.float64).T
        noisy = points * factor + constant
        A += probability.prod() * noisy.T @ noisy / len(points)
        B += probability.prod() * noisy.T @ points / len(points)
    torch.testing.assert_close(noisy_moments(points, corruption, 0.3), (A, B), rtol=1e-12, atol=1e-12)


def closed_form(x, corruption, amount):
    return torch.linalg.solve(*noisy_moments(x, corruption, amount))


def score(model, x, weight):
    """The gradient of the model's loss at the map x̃W, a mean over many corruptions, entry by entry in its standard
    errors."""
    torch.manual_seed(0)
    (parameter,) = model.parameters()
    with torch.no_grad():
        parameter.copy_(weight.T)
    copies, gradients = x.repeat(100, 1), []
    for _ in range(DRAWS):
        model.zero_grad()
        model.loss(Batch(copies), 0.5)["loss"].backward()
        gradients.append(parameter.grad.clone())
    gradients = torch.stack(gradients)
    return gradients.mean(0) / (gradients.std(0) / DRAWS**0.5)


@pytest.mark.parametrize(("corruption", "amount"), AMOUNTS.items())
def test_the_loss_is_least_at_the_closed_form_and_not_at_that_of_other_amounts(points, corruption, amount):
    model = linear_dae(corruption, amount)
    assert score(model, points, closed_form(points, corruption, amount)).abs().max() < standard_errors(DRAWS - 1)
    assert score(model, points, closed_form(points, corruption, 1.5 * amount)).abs().max() > 10


def test_the_rate_of_salt_and_pepper_is_that_of_both_together(points):
    each = closed_form(points, "salt-and-pepper", 0.6)
    assert score(linear_dae("salt-and-pepper", 0.3), points, each).abs().max() > 10


def test_held_out_loss_is_that_of_denoising(points):
    """At the optimum it is tr S - tr BᵀW."""
    for corruption, amount in AMOUNTS.items():
        model = linear_dae(corruption, amount).eval()
        W = closed_form(points, corruption, amount)
        torch.manual_seed(0)
        with torch.no_grad():
            next(model.parameters()).copy_(W.T)
            losses = torch.stack([model.validation_loss(Batch(points.repeat(20, 1))) for _ in range(DRAWS)])
            clean = (model.reconstruct(points) - points).square().sum(1).mean()
        B = noisy_moments(points, corruption, amount)[1]
        known = points.square().sum(1).mean() - (B.T @ W).trace()
        within = standard_errors(DRAWS - 1) * float(losses.std()) / DRAWS**0.5
        assert abs(float(clean - known)) > 2 * within
        assert float(losses.mean()) == pytest.approx(float(known), abs=within)

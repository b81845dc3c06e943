"""`Likelihood` on models whose likelihood is known: closed forms, quadrature, the uniform distribution."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genbench.data import DataSpec
from genbench.metrics.base import Measurement, Subject
from genbench.metrics.likelihood import Likelihood
from genbench.model import Conditional, Density
from genbench.selftest.base import Check
from genbench.selftest.known import BernoulliDecoder, LinearGaussian, subject_of

#: Rounding of sums in float64.
ROUNDING = 1e-9


def measured(subject: Subject, **options: int) -> dict[str, Measurement]:
    """What `likelihood` with these options says, by name."""
    return {m.name: m for m in Likelihood(Likelihood.Config(**options)).measure(subject)}


def linear_gaussian() -> Iterator[Check]:
    """With the exact posterior as q every weight is p(x), whatever the draw; its mean over x is minus the entropy."""
    model = LinearGaussian()
    x = model.sample(2000)
    exact = model.exact(x.float()).mean().item()
    for k in (1, 10):
        got = measured(subject_of(model, model.data, x), k=k)
        yield Check(f"ELBO, exact posterior, K = {k}", exact, got["elbo"].value, tolerance=ROUNDING)
        yield Check(f"K-sample bound, exact posterior, K = {k}", exact, got["log_likelihood"].value, tolerance=ROUNDING)
    value = got["log_likelihood"]
    yield Check("the same, against minus the entropy", model.negative_entropy(), value.value, stderr=value.stderr)


def importance_bounds() -> Iterator[Check]:
    """The bounds of a posterior with three times the covariance: their closed forms and their order.

    Errors are those of the draws alone, in closed form too, since log p(x) is known for the very points measured.
    """
    model = LinearGaussian(inflation=3.0)
    x = model.sample(400)
    subject = subject_of(model, model.data, x)
    exact = model.exact(x.float()).mean().item()
    single_error = math.sqrt(model.log_weight_variance() / len(x))
    single = measured(subject, k=1)
    closed = exact - model.posterior_gap()
    yield Check("ELBO, K = 1", closed, single["elbo"].value, stderr=single_error)
    yield Check("K-sample bound, K = 1", single["elbo"].value, single["log_likelihood"].value, tolerance=ROUNDING)

    # the log of a mean of K weights of relative variance v is off by -v/2K and has variance v/K, to first order
    variance = model.weight_variance()
    bounds = [("ELBO", single["elbo"].value, single_error)]
    most = 1000
    for k in (8, 64, most):
        got = measured(subject, k=k)
        yield Check(f"ELBO, K = {k}", closed, got["elbo"].value, stderr=single_error / math.sqrt(k))
        bounds.append((f"K = {k}", got["log_likelihood"].value, math.sqrt(variance / (k * len(x)))))
    for (below, low, low_error), (above, high, high_error) in itertools.pairwise([*bounds, ("log p(x)", exact, 0.0)]):
        error = math.hypot(low_error, high_error)
        yield Check(f"{below} against {above}", high, low, stderr=error, relation="at_most")
    _, reached, error = bounds[-1]
    yield Check(f"K-sample bound, K = {most}", exact - variance / (2 * most), reached, stderr=error)


def quadrature() -> Iterator[Check]:
    """A decoder with two latent dimensions on every image of its 6 pixels, once each."""
    model = BernoulliDecoder()
    images = torch.cartesian_prod(*[torch.tensor([0, 1])] * model.PIXELS)
    log_prior, log_px = model.quadrature(images)
    log_p = (log_prior[:, None] + log_px).logsumexp(0)
    yield Check("quadrature, sum over all images", 1.0, log_p.exp().sum().item(), tolerance=ROUNDING)

    k = 4000
    got = measured(subject_of(model, model.data, images), k=k)
    prior = log_prior.exp()[:, None]
    elbo = (prior * log_px).sum(0)
    elbo_variance = (prior * (log_px - elbo).square()).sum(0)
    yield Check(f"ELBO, K = {k}", elbo.mean().item(), got["elbo"].value, stderr=_error_of_mean(elbo_variance, k))
    # as above, with Var w / p(x)² = E[p(x|z)²] / p(x)² - 1
    variance = ((log_prior[:, None] + 2 * log_px).logsumexp(0) - 2 * log_p).exp() - 1
    known = (log_p - variance / (2 * k)).mean().item()
    value = got["log_likelihood"].value
    yield Check(f"K-sample bound, K = {k}", known, value, stderr=_error_of_mean(variance, k))


class _LabelledGaussians(Density, Conditional):
    """p(x|y) = N(x; y, 1) on the line."""

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None  # a conditional model is always asked with labels
        return -0.5 * ((x[:, 0].double() - y).square() + math.log(2 * math.pi))


def labels() -> Iterator[Check]:
    """log p(x|y) at each point's own label, and log p(x) of the mixture whose weights are the labels' frequencies."""
    y = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), 1000, replacement=True)
    x = y[:, None] + torch.randn(1000, 1)
    got = measured(subject_of(_LabelledGaussians(), DataSpec((1,), "continuous", num_classes=3), x, y))
    frequency = torch.bincount(y).double() / len(y)
    normal = -0.5 * ((x.double() - torch.arange(3)).square() + math.log(2 * math.pi))
    mixture = (normal + frequency.log()).logsumexp(1).mean().item()
    own = normal.gather(1, y[:, None]).mean().item()
    yield Check("log p(x), labels summed out", mixture, got["log_likelihood"].value, tolerance=ROUNDING)
    yield Check("log p(x|y)", own, got["conditional_log_likelihood"].value, tolerance=ROUNDING)


class _Uniform(Density):
    """Every image of so many levels is equally probable."""

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.full((len(x),), -x[0].numel() * math.log(self.levels), dtype=torch.float64)


class _UnitCube(Density):
    """The density that is 1 on [0, 1)^D."""

    continuous = True

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.where(((x >= 0) & (x < 1)).flatten(1).all(1), 0.0, -torch.inf)


def uniform() -> Iterator[Check]:
    """A uniform distribution has log2(levels) bits per dimension, whether over levels or over dequantised points."""
    for levels in (2, 17, 256):
        data = DataSpec((12,), "binary" if levels == 2 else "discrete", levels)
        x = torch.randint(levels, (200, 12))
        for name, model in (("probabilities", _Uniform(levels)), ("dequantised density", _UnitCube())):
            bits = measured(subject_of(model, data, x))["bits_per_dim"].value
            yield Check(f"bits/dim, {name}, {levels} levels", math.log2(levels), bits, tolerance=ROUNDING)


def _error_of_mean(variances: Tensor, k: int) -> float:
    """Standard error of a mean over points, each of which is a mean of `k` draws of this variance."""
    return variances.div(k).sum().sqrt().item() / len(variances)

"""How probable does the model find held-out data?

Every number is about the original data space, in nats per data point and, for discrete data, in bits per dimension
(nats / (dims ln 2), of the opposite sign).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from genbench.metrics.base import Kind, Measurement, Metric, MetricError, NotApplicable, Subject, checked, choose
from genbench.metrics.nats import likelihood_numbers
from genbench.model import Conditional, Density, LatentBound, Unnormalized, dequantize, log_volume
from genbench.options import Options

#: Draws log-weights `(k, B)` in nats, float64, whose exponentials have the mean p(x), or p(x|y) where labels are given,
#: for points `x` `(B, *shape)`.
LogWeights = Callable[[Tensor, int, Tensor | None], Tensor]

#: Above this many nats, a log-probability of discrete data is no rounding error.
ROUNDING = 1e-2

NOT_A_PROBABILITY = "it is not normalised, or a density over real vectors that does not say so (Density.continuous)"


class Likelihood(Metric):
    """Log-likelihood of the test set: exact where the model has a normalised density, else a lower bound.

    - `Density`: log p(x), exact.
    - `Density` over real vectors, discrete data: log mean_k p(u_k) - dims ln(levels) over K dequantised points u_k, a
      lower bound on log P(x) in expectation, for every K (Theis et al. 2016, section 3.1, for K = 1).
    - `LatentBound`: log mean_k p(x, z_k)/q(z_k|x) over K codes z_k ~ q(z|x), a lower bound in expectation, for every K
      (Burda et al. 2016, section 3), and from the same draws the ELBO, which is its expectation for K = 1.

    For a `Conditional` model, `conditional_…` is that of log p(x|y) at the test points' own labels, and the others are
    of log p(x), the labels summed out with the training data's frequencies.

    Means over draws are taken in float64 and as draws come in, so that memory does not grow with K.
    The standard error is that of the mean over test points.
    """

    class Config(Options):
        """Options of `likelihood`."""

        k: int = Field(32, ge=1, description="codes drawn per data point for the importance-weighted bound")
        dequantizations: int = Field(
            8, ge=1, description="dequantised copies of each discrete data point that a continuous density is given"
        )
        n: int = Field(10_000, ge=1, description="test points, at most")
        batch: int = Field(1024, ge=1, description="pairs of data point and draw that are evaluated at once, at most")

    requires: ClassVar[tuple[type, ...]] = (Density, LatentBound, Unnormalized)
    names: ClassVar[tuple[str, ...]] = (
        "bits_per_dim",
        "log_likelihood",
        "elbo",
        "conditional_bits_per_dim",
        "conditional_log_likelihood",
    )
    config: Config

    def quick(self) -> dict[str, Any]:
        return {"k": 8, "dequantizations": 1, "n": 500}

    def measure(self, subject: Subject) -> list[Measurement]:
        model, data = subject.model, subject.data
        kind: Kind = "lower_bound"
        k = 1
        if isinstance(model, Density):
            if model.continuous and data.levels is not None:
                estimator, proposal = "dequantised density", "uniform within the bin"
                k, draw = self.config.dequantizations, _dequantized(subject)
            else:
                estimator, proposal, kind, draw = "density", "none", "exact", _density(subject)
        elif isinstance(model, LatentBound):
            estimator, proposal = "importance-weighted", "the model's q(z|x)"
            k, draw = self.config.k, _importance(subject)
        else:
            raise NotApplicable("its density is not normalised: that needs annealed importance sampling")
        conditional = isinstance(model, Conditional)
        bound, mean = self._average(subject, _labels_summed_out(subject, draw) if conditional else draw, k)
        settings = {"n": len(bound), "k": k, "estimator": estimator, "proposal": proposal}
        results = _likelihoods(subject, "", kind, bound, settings)
        if estimator == "importance-weighted":
            elbo, elbo_stderr = _mean(mean)
            results.append(
                Measurement(
                    "elbo", elbo, "lower_bound", "higher", "nats", elbo_stderr, settings, flags=_flags(elbo_stderr)
                )
            )
        if conditional:
            bound, _ = self._average(subject, draw, k, labelled=True)
            results += _likelihoods(subject, "conditional_", kind, bound, settings)
        return results

    def _average(self, subject: Subject, draw: LogWeights, k: int, *, labelled: bool = False) -> tuple[Tensor, Tensor]:
        """Log-mean-exp and mean of `k` log-weights of every test point, `(n,)` each."""
        draws_at_once = min(k, self.config.batch)
        points_at_once = self.config.batch // draws_at_once
        bounds, means = [], []
        for index in choose(subject.test, self.config.n).split(points_at_once):
            batch = subject.test.batch(index)
            x, y = batch.x, batch.y if labelled else None
            log_sum = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
            total = torch.zeros_like(log_sum)
            for start in range(0, k, draws_at_once):
                weights = draw(x, min(draws_at_once, k - start), y)
                log_sum = torch.logaddexp(log_sum, weights.logsumexp(0))
                total += weights.sum(0)
            bounds.append(log_sum - math.log(k))
            means.append(total / k)
        return torch.cat(bounds), torch.cat(means)


def _likelihoods(
    subject: Subject, prefix: str, kind: Kind, log_p: Tensor, settings: dict[str, Any]
) -> list[Measurement]:
    """The mean of `log_p` `(n,)` in nats, and for discrete data before it in bits per dimension."""
    value, stderr = _mean(log_p)
    data = subject.data
    if data.levels is not None and value > ROUNDING + 4 * (stderr or 0.0):
        raise MetricError(
            f"{type(subject.model).__name__} gives discrete data a mean log-probability of {value:.4g} nats, a "
            f"probability above 1: {NOT_A_PROBABILITY}"
        )
    return likelihood_numbers(prefix, data, kind, value, stderr, settings, _flags(stderr))


def _density(subject: Subject) -> LogWeights:
    model, discrete = subject.model, subject.data.levels is not None

    def draw(x: Tensor, k: int, y: Tensor | None) -> Tensor:  # there is nothing to draw
        log_prob = checked(model, "log_prob", model.log_prob(x, *_given(y)), (len(x),)).double()
        if discrete and log_prob.max() > ROUNDING:
            raise MetricError(
                f"{type(model).__name__}.log_prob returned {log_prob.max():.4g} nats for discrete data, a probability "
                f"above 1: {NOT_A_PROBABILITY}"
            )
        return log_prob[None]

    return draw


def _dequantized(subject: Subject) -> LogWeights:
    model, levels = subject.model, subject.data.levels
    assert levels is not None  # only discrete data is dequantised
    volume = log_volume(subject.data)

    def draw(x: Tensor, k: int, y: Tensor | None) -> Tensor:
        u = dequantize(x.repeat(k, *(1 for _ in x.shape[1:])), levels)
        labels = None if y is None else y.repeat(k)
        log_prob = checked(model, "log_prob", model.log_prob(u, *_given(labels)), (len(u),))
        return log_prob.double().view(k, len(x)) - volume

    return draw


def _importance(subject: Subject) -> LogWeights:
    model = subject.model

    def draw(x: Tensor, k: int, y: Tensor | None) -> Tensor:
        return checked(model, "log_weights", model.log_weights(x, k, *_given(y)), (k, len(x))).double()

    return draw


def _labels_summed_out(subject: Subject, draw: LogWeights) -> LogWeights:
    """log sum_y p(y) w(x|y), whose exponential has the mean p(x); p(y) is the frequency in the training split.

    Raises:
        NotApplicable: the data has no labels.
    """
    labels = subject.train.y()
    if labels is None:
        raise NotApplicable("the model is conditional, and the data has no class labels")
    frequency = torch.bincount(labels, minlength=subject.data.num_classes or 0).double() / len(labels)
    seen = frequency.nonzero().flatten().tolist()

    def summed(x: Tensor, k: int, y: Tensor | None) -> Tensor:  # there are no labels any more
        parts = [draw(x, k, torch.full((len(x),), c, device=x.device)) + frequency[c].log() for c in seen]
        return torch.stack(parts).logsumexp(0)

    return summed


def _given(y: Tensor | None) -> tuple[Tensor, ...]:
    """The labels as arguments: none for models that need not take any."""
    return () if y is None else (y,)


def _mean(values: Tensor) -> tuple[float, float | None]:
    """Mean over data points and its standard error, None for a single point."""
    stderr = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else None
    return values.mean().item(), stderr


def _flags(stderr: float | None) -> tuple[str, ...]:
    return ("a single test point: no error bar",) if stderr is None else ()

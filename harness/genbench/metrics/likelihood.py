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
from genbench.model import Density, LatentBound, Unnormalized, dequantize
from genbench.options import Options

#: Draws log-weights `(k, B)` in nats, float64, whose exponentials have the mean p(x), for points `x` `(B, *shape)`.
LogWeights = Callable[[Tensor, int], Tensor]

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
    names: ClassVar[tuple[str, ...]] = ("bits_per_dim", "log_likelihood", "elbo")
    config: Config

    def quick(self) -> dict[str, Any]:
        return {"k": 8, "dequantizations": 1, "n": 500}

    def measure(self, subject: Subject) -> list[Measurement]:
        model, data = subject.model, subject.data
        kind: Kind = "lower_bound"
        k = 1
        if isinstance(model, Density):
            if model.continuous and data.levels is not None:
                estimator, k, draw = "dequantised density", self.config.dequantizations, _dequantized(subject)
            else:
                estimator, kind, draw = "density", "exact", _density(subject)
        elif isinstance(model, LatentBound):
            estimator, k, draw = "importance-weighted", self.config.k, _importance(subject)
        else:
            raise NotApplicable("its density is not normalised: that needs annealed importance sampling")

        bound, mean = self._average(subject, draw, k)
        settings = {"n": len(bound), "k": k, "estimator": estimator}
        value, stderr = _mean(bound)
        if data.levels is not None and value > ROUNDING + 4 * (stderr or 0.0):
            raise MetricError(
                f"{type(model).__name__} gives discrete data a mean log-probability of {value:.4g} nats, a "
                f"probability above 1: {NOT_A_PROBABILITY}"
            )
        results = [Measurement("log_likelihood", value, kind, "higher", "nats", stderr, settings)]
        if data.levels is not None:
            scale = 1 / (data.dims * math.log(2))
            results.insert(
                0,
                Measurement(
                    "bits_per_dim",
                    -value * scale,
                    "exact" if kind == "exact" else "upper_bound",
                    "lower",
                    "bits/dim",
                    None if stderr is None else stderr * scale,
                    settings,
                ),
            )
        if estimator == "importance-weighted":
            elbo, elbo_stderr = _mean(mean)
            results.append(Measurement("elbo", elbo, "lower_bound", "higher", "nats", elbo_stderr, settings))
        return results

    def _average(self, subject: Subject, draw: LogWeights, k: int) -> tuple[Tensor, Tensor]:
        """Log-mean-exp and mean of `k` log-weights of every test point, `(n,)` each."""
        draws_at_once = min(k, self.config.batch)
        points_at_once = self.config.batch // draws_at_once
        bounds, means = [], []
        for index in choose(subject.test, self.config.n).split(points_at_once):
            x = subject.test.batch(index).x
            log_sum = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
            total = torch.zeros_like(log_sum)
            for start in range(0, k, draws_at_once):
                weights = draw(x, min(draws_at_once, k - start))
                log_sum = torch.logaddexp(log_sum, weights.logsumexp(0))
                total += weights.sum(0)
            bounds.append(log_sum - math.log(k))
            means.append(total / k)
        return torch.cat(bounds), torch.cat(means)


def _density(subject: Subject) -> LogWeights:
    model, discrete = subject.model, subject.data.levels is not None

    def draw(x: Tensor, k: int) -> Tensor:  # there is nothing to draw
        log_prob = checked(model, "log_prob", model.log_prob(x), (len(x),)).double()
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
    volume = subject.data.dims * math.log(levels)

    def draw(x: Tensor, k: int) -> Tensor:
        u = dequantize(x.repeat(k, *(1 for _ in x.shape[1:])), levels)
        return checked(model, "log_prob", model.log_prob(u), (len(u),)).double().view(k, len(x)) - volume

    return draw


def _importance(subject: Subject) -> LogWeights:
    model = subject.model

    def draw(x: Tensor, k: int) -> Tensor:
        return checked(model, "log_weights", model.log_weights(x, k), (k, len(x))).double()

    return draw


def _mean(values: Tensor) -> tuple[float, float | None]:
    """Mean over data points and its standard error, None for a single point."""
    stderr = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else None
    return values.mean().item(), stderr

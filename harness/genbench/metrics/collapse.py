"""Which latent variables are in use, and which does the posterior ignore?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field
from torch import Tensor
from torch.distributions import Normal

from genbench.metrics.base import Measurement, Metric, MetricError, NotApplicable, Subject, checked, choose
from genbench.metrics.coding import CHUNK
from genbench.model import Conditional, Posterior
from genbench.options import Options

#: A variable is active whose posterior mean has more than this variance over data points (Burda et al. 2016, 5.2).
ACTIVE = 0.01
#: Variables per level whose divergence is listed, at most: those where it is largest.
LISTED = 256


class Collapse(Metric):
    """Active units, and how far the posterior is from the prior.

    - `active_units`: how many latent variables u have Var_x(E_q[u|x]) > 0.01 over test points (Burda et al. 2016,
      section 5.2). With several levels E_q is a mean over draws of the others, whose noise is taken off the variance. A
      unit beneath the top level may be active, yet have no divergence: it then passes on what those above it say.
    - `kl`: nats per data point, summed over variables and levels, by which E_q[log p(x|z)] exceeds the ELBO: the mean
      over test points with its standard error. Beneath the top level it is that given draws of the levels above.

    A `Conditional` model is given the test points' labels. The settings of `kl` hold both numbers of every level, that
    furthest from the data first, and the divergence of each of its variables, the largest first.
    """

    class Config(Options):
        """Options of `collapse`."""

        n: int = Field(2000, ge=2, description="test points, at most")
        draws: int = Field(16, ge=2, description="draws of each test point's codes, where there are several levels")

    requires: ClassVar[tuple[type, ...]] = (Posterior,)
    names: ClassVar[tuple[str, ...]] = ("active_units", "kl")
    config: Config

    def quick(self) -> dict[str, Any]:
        return {"n": 500, "draws": 4}

    def measure(self, subject: Subject) -> list[Measurement]:
        first = _ask(subject, self.config.n)
        draws = self.config.draws if len(first) > 1 else 1
        rounds = [first, *(_ask(subject, self.config.n) for _ in range(draws - 1))]
        levels = [_Level.of(same) for same in zip(*rounds, strict=True)]
        per_point = np.sum([level.divergence.sum(1) for level in levels], axis=0)
        n = len(per_point)
        settings = {"n": n, "draws": draws}
        active = sum(level.active for level in levels)
        stderr = per_point.std(ddof=1).item() / math.sqrt(n)
        summaries = {"levels": [level.summary() for level in levels]}
        return [
            Measurement("active_units", active, "estimate", "neither", settings=settings | {"above": ACTIVE}),
            Measurement("kl", per_point.mean().item(), "estimate", "neither", "nats", stderr, settings | summaries),
        ]


class _Draw(NamedTuple):
    """One level, given one draw of the others: of each test point and variable the posterior's mean and the divergence,
    `(n, d)` float64."""

    mean: np.ndarray
    divergence: np.ndarray


class _Level(NamedTuple):
    """One level over all draws: how much each variable's mean varies over test points, `(d,)`, and the divergence,
    `(n, d)`."""

    variance: np.ndarray
    divergence: np.ndarray

    @classmethod
    def of(cls, draws: Sequence[_Draw]) -> _Level:
        means = np.stack([draw.mean for draw in draws])
        variance = means.mean(0).var(0, ddof=1)
        if len(draws) > 1:
            variance -= means.var(0, ddof=1).mean(0) / len(draws)
        return cls(variance, np.mean([draw.divergence for draw in draws], axis=0))

    @property
    def active(self) -> int:
        return int((self.variance > ACTIVE).sum())

    def summary(self) -> dict[str, Any]:
        by_variable = self.divergence.mean(0)
        return {
            "variables": len(by_variable),
            "active_units": self.active,
            "kl": _rounded(by_variable.sum()),
            "kl_by_variable": [_rounded(kl) for kl in np.sort(by_variable)[::-1][:LISTED]],
        }


def _ask(subject: Subject, n: int) -> list[_Draw]:
    """Every level of `n` test points, or all.

    Raises:
        MetricError: what the model returned is no posterior.
        NotApplicable: there are fewer than two points, or no labels for a model that needs them.
    """
    index = choose(subject.test, n)
    if len(index) < 2:
        raise NotApplicable("needs at least two test points, over which codes may vary")
    parts = []
    for part in index.split(CHUNK):
        batch = subject.test.batch(part)
        given: tuple[Tensor, ...] = ()
        if isinstance(subject.model, Conditional):
            if batch.y is None:
                raise NotApplicable("the model is conditional, and the data has no class labels")
            given = (batch.y,)
        parts.append(_levels(subject.model, batch.x, *given))
    return [_Draw(*map(np.concatenate, zip(*level, strict=True))) for level in zip(*parts, strict=True)]


def _levels(model: Any, x: Tensor, *y: Tensor) -> list[_Draw]:
    posterior, divergences = model.posterior(x, *y), model.divergence(x, *y)
    name = type(model).__name__
    if not isinstance(posterior, list) or not all(_is_pair(pair) for pair in posterior):
        raise MetricError(f"{name}.posterior returned no list of pairs of normal distributions, one per level")
    if not isinstance(divergences, list) or len(divergences) != len(posterior):
        raise MetricError(f"{name}.divergence returned no list of {len(posterior)} tensors, one per level")
    draws = []
    for (q, _), divergence in zip(posterior, divergences, strict=True):
        mean = checked(model, "posterior", q.mean, (len(x), None))
        draws.append(_Draw(_array(mean), _array(checked(model, "divergence", divergence, tuple(mean.shape)))))
    return draws


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(each, Normal) for each in pair)


def _array(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")

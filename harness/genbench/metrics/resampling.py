"""Error bars from the data itself: the bootstrap for means, the jackknife for everything else.

A bootstrap sample holds duplicates. Means over points do not mind; whatever looks at pairs of points (covariances,
neighbours, kernels) takes them for a smaller sample and is biased, so that its bootstrap intervals miss the truth. The
jackknife, which leaves groups of points out, has no duplicates, and estimates the bias in passing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from genbench.metrics.base import PROTOCOL_SEED

#: Groups that the jackknife leaves out in turn.
GROUPS = 20
#: Groups of test points over which every number has pseudo-values, where there are as many points.
POINT_GROUPS = 100
#: Bootstrap samples.
RESAMPLES = 1000
#: The two-sided 95% quantile of the normal distribution.
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Jackknifed:
    """An estimate less its bias of order 1/n, its standard error, and half the width of its 95% interval: the standard
    error times the quantile of Student's t, whose degrees of freedom are one less than the groups."""

    debiased: float
    stderr: float
    margin: float


def group_of(n: int, groups: int = GROUPS) -> np.ndarray:
    """The group of each of `n` points, `(n,)`, in 0 … groups-1, as equal in size as can be. Points have to be in random
    order."""
    return np.arange(n) * groups // n


def jackknife(whole: float, without: Sequence[float]) -> Jackknifed:
    """The delete-a-group jackknife (Quenouille 1956; Shao & Wu 1989, equation 2.1).

    Args:
        whole: the estimate from all points.
        without: the same with each group of points left out in turn; at least two of them.
    """
    groups = len(without)
    mean = math.fsum(without) / groups
    variance = (groups - 1) / groups * math.fsum((value - mean) ** 2 for value in without)
    stderr = math.sqrt(variance)
    return Jackknifed(groups * whole - (groups - 1) * mean, stderr, float(stdtrit(groups - 1, 0.975)) * stderr)


def point_groups(n: int) -> np.ndarray:
    """The group of each of `n` test points, `(n,)`, in the order of `genbench.metrics.base.choose`: a group of its own
    for each point where there are no more than `POINT_GROUPS`."""
    return group_of(n, min(n, POINT_GROUPS))


def pseudo_values(whole: float, without: np.ndarray) -> np.ndarray:
    """The jackknife's pseudo-values `(g,)` (Tukey 1958) of an estimate from all points, and from all but each group."""
    return len(without) * whole - (len(without) - 1) * without


def mean_points(values: np.ndarray) -> np.ndarray:
    """The pseudo-values `(g,)` of the mean of `values` `(n,)`, which are those of the test points in the order of
    `choose`: the means over the groups, but for groups of unequal size."""
    groups = point_groups(len(values))
    if len(values) < 2:
        return np.asarray(values, dtype=np.float64)
    sizes, sums = np.bincount(groups), np.bincount(groups, weights=values)
    return pseudo_values(float(sums.sum() / len(values)), (sums.sum() - sums) / (len(values) - sizes))


@dataclass(frozen=True)
class Bootstrapped:
    """A mean with its standard error and its 95% interval."""

    mean: float
    stderr: float
    interval: tuple[float, float]


def bootstrap(values: np.ndarray) -> Bootstrapped:
    """The mean of `values` `(n,)` with the percentile interval of its bootstrap distribution (Efron 1979).

    Differences of two scores of the same points make it a paired comparison.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    draw = np.random.default_rng(PROTOCOL_SEED)
    means = np.array([draw.multinomial(n, np.full(n, 1 / n)) @ values / n for _ in range(RESAMPLES)])
    low, high = np.quantile(means, [0.025, 0.975])
    return Bootstrapped(float(values.mean()), float(means.std(ddof=1)), (float(low), float(high)))


def wilson(share: float, n: int) -> tuple[float, float]:
    """A 95% interval for a proportion of which `share` was seen in `n` trials, also where that is 0 or 1 (Wilson
    1927)."""
    z = NORMAL_95
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    # 0 and 1 are ends of their intervals, but for rounding
    return max(0.0, min(low, share)), min(1.0, max(high, share))

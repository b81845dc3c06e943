"""The Fréchet distance between the normal distributions that two sets of features are taken for (Heusel et al. 2017).

|m1 - m2|² + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), from the means and covariances of the sets. The last trace is the sum
of the singular values of A'B for any factors AA' = S1 and BB' = S2, and that is how it is computed: no square root of a
matrix that isn't symmetric, nothing complex, and no trouble with singular covariances. A set of more points than
features is known by its moments, and its factor is the Cholesky factor of its covariance; a smaller set's factor is its
centred points themselves, so that no covariance of it, singular as it would be, is ever made.

The distance between finite sets is biased upwards, by an amount of order 1/n that depends on the distributions. The
jackknife takes that bias away and says how sure the rest is. The bootstrap can do neither (see
`genbench.metrics.resampling`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genbench.metrics.resampling import GROUPS, group_of, jackknife

#: Points whose outer products are summed at once, and features in a block of them.
CHUNK, BLOCK = 2048, 256


@dataclass(frozen=True)
class Frechet:
    """The distance, and how sure it is.

    Attributes:
        plug_in: the distance between the sets' own means and covariances: what other tools report, biased upwards.
        debiased: the same without its bias of order 1/n; may be negative.
        stderr: standard error of `debiased`.
        interval: 95% interval around `debiased`.
    """

    plug_in: float
    debiased: float
    stderr: float
    interval: tuple[float, float]


def frechet(x: Tensor, y: Tensor) -> Frechet:
    """The distance with its jackknife, which leaves the same group out of both sets at once.

    It covers where both sets hold at least about 3 points per feature; with fewer, `debiased` keeps some bias and
    `stderr` and `interval` are too small.

    Args:
        x: features `(n, d)` float64, rows in random order; at least 3.
        y: features `(m, d)` float64, likewise.
    """
    groups = min(GROUPS, len(x), len(y))
    sets = [_Groups(features, y.mean(0), groups) for features in (x, y)]
    whole = _distance(*(each.whole for each in sets))
    without = [_distance(*(each.without(group) for each in sets)) for group in range(groups)]
    found = jackknife(whole, without)
    interval = (found.debiased - found.margin, found.debiased + found.margin)
    return Frechet(whole, found.debiased, found.stderr, interval)


def plug_in(x: Tensor, y: Tensor) -> float:
    """`Frechet.plug_in` alone, 21 times as fast; features `(n, d)` and `(m, d)` float64, at least 2 of each."""
    return _distance(*(_summary(features, y.mean(0), len(features)) for features in (x, y)))


@dataclass(frozen=True)
class _Moments:
    """A set of more points than features: their number, sum `(d,)` and sum of outer products `(d, d)`."""

    n: int
    total: Tensor
    outer: Tensor

    @classmethod
    def of(cls, x: Tensor, origin: Tensor) -> _Moments:
        total, outer = torch.zeros_like(origin), origin.new_zeros(len(origin), len(origin))
        for part in x.split(CHUNK):
            centred = part - origin
            total += centred.sum(0)
            for start in range(0, len(origin), BLOCK):  # the blocks on and above the diagonal; the others mirror them
                rows = slice(start, start + BLOCK)
                outer[rows, start:].addmm_(centred[:, rows].T, centred[:, start:])
        return cls(len(x), total, outer.triu() + outer.triu(1).T)

    def __sub__(self, part: _Moments) -> _Moments:
        return _Moments(self.n - part.n, self.total - part.total, self.outer - part.outer)

    @property
    def mean(self) -> Tensor:
        return self.total / self.n

    @property
    def spread(self) -> Tensor:
        """The trace of the covariance."""
        return (self.outer.trace() - self.total @ self.mean) / (self.n - 1)

    def covariance(self) -> Tensor:
        return torch.addr(self.outer, self.total, self.mean, alpha=-1).div_(self.n - 1)

    def cholesky(self) -> Tensor | None:
        """The lower triangular factor of the covariance, None where that is singular."""
        root, failed = torch.linalg.cholesky_ex(self.covariance())
        return None if failed else root

    def factor(self) -> Tensor:
        """F `(d, r)` with FF' the covariance, r its rank."""
        values, vectors = torch.linalg.eigh(self.covariance())
        kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps  # what is less is rounding
        return vectors[:, kept] * values[kept].sqrt()


@dataclass(frozen=True)
class _Rows:
    """A set of no more points than features: the points themselves, `(n, d)`."""

    x: Tensor

    @property
    def mean(self) -> Tensor:
        return self.x.mean(0)

    @property
    def spread(self) -> Tensor:
        return self.factor().square().sum()

    def factor(self) -> Tensor:
        return (self.x - self.mean).T / (len(self.x) - 1) ** 0.5


class _Groups:
    """A set that its groups can be left out of."""

    def __init__(self, x: Tensor, origin: Tensor, groups: int) -> None:
        self.x = x
        self.origin = origin
        self.ends = np.searchsorted(group_of(len(x), groups), np.arange(groups + 1))
        self.whole = _summary(x, origin, len(x) - int(np.diff(self.ends).max()))

    def without(self, group: int) -> _Moments | _Rows:
        start, end = self.ends[group], self.ends[group + 1]
        if isinstance(self.whole, _Moments):
            return self.whole - _Moments.of(self.x[start:end], self.origin)
        return _Rows(torch.cat([self.whole.x[:start], self.whole.x[end:]]))


def _summary(x: Tensor, origin: Tensor, fewest: int) -> _Moments | _Rows:
    """The set as it is best known, relative to `origin`, if as few as `fewest` of its points may be used."""
    return _Moments.of(x, origin) if fewest > x.shape[1] else _Rows(x - origin)


def _distance(a: _Moments | _Rows, b: _Moments | _Rows) -> float:
    root = b.cholesky() if isinstance(a, _Moments) and isinstance(b, _Moments) else None
    if isinstance(a, _Moments) and root is not None:
        # the squares of the singular values: symmetric, and so faster than they are
        cross = torch.linalg.eigvalsh(_sandwiched(root, a.covariance()), UPLO="U").clamp(min=0).sqrt().sum()
    else:
        cross = torch.linalg.svdvals(a.factor().T @ b.factor()).sum()
    distance = (a.mean - b.mean).square().sum() + a.spread + b.spread - 2 * cross
    return max(distance.item(), 0.0)  # a squared distance: what is below zero is rounding


def _sandwiched(root: Tensor, symmetric: Tensor) -> Tensor:
    """The blocks on and above the diagonal of L'SL, for a lower triangular L and a symmetric S, `(d, d)` each: a third
    of the work of two products."""
    product = torch.zeros_like(symmetric)
    starts = range(0, len(root), BLOCK)
    for i in starts:
        rows = slice(i, i + BLOCK)
        half = root[i:, rows].T @ symmetric[i:]
        for j in starts[i // BLOCK :]:
            columns = slice(j, j + BLOCK)
            product[rows, columns] = half[:, j:] @ root[j:, columns]
    return product

"""Scores that look at pairs of points, from all points and with each group of them left out, for the jackknife.

Distances are computed and sorted once; leaving a group out only skips its points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from genbench.metrics.resampling import Jackknifed, jackknife


@dataclass(frozen=True)
class Replicated:
    """A score of all points, and the same score without each group of points in turn, `(groups,)`."""

    whole: float
    without: np.ndarray

    def __sub__(self, other: Replicated) -> Replicated:
        """The paired difference; both have to be about the same points in the same groups."""
        return Replicated(self.whole - other.whole, self.without - other.without)

    @property
    def jackknifed(self) -> Jackknifed:
        """The error of `whole`."""
        return jackknife(self.whole, self.without.tolist())


def silhouette(points: np.ndarray, y: np.ndarray, group: np.ndarray) -> Replicated:
    """Mean silhouette of points grouped by class (Rousseeuw 1987), in [-1, 1]; a point that is alone counts 0.

    Args:
        points: `(n, d)`.
        y: their classes `(n,)`, at least two of them, with any one group left out too.
        group: their groups `(n,)`, 0 … groups-1.
    """
    own = np.unique(y, return_inverse=True)[1]
    members = np.eye(own.max() + 1)[own]
    groups = range(group.max() + 1)
    counts = np.stack([members[group == g].sum(0) for g in groups])  # (groups, classes)
    sums = np.stack([cdist(points, points[group == g]) @ members[group == g] for g in groups])  # (groups, n, classes)
    without = [
        _mean_silhouette(np.delete(sums, g, 0).sum(0)[group != g], np.delete(counts, g, 0).sum(0), own[group != g])
        for g in groups
    ]
    return Replicated(_mean_silhouette(sums.sum(0), counts.sum(0), own), np.array(without))


def _mean_silhouette(sums: np.ndarray, counts: np.ndarray, own: np.ndarray) -> float:
    """From each point's summed distances to every class `(n, classes)`, the classes' sizes and the points' classes."""
    rows = np.arange(len(own))
    fellows = counts[own] - 1
    within = sums[rows, own] / np.maximum(fellows, 1)
    between = np.divide(sums, counts, out=np.full_like(sums, np.inf), where=counts > 0)
    between[rows, own] = np.inf
    nearest = between.min(1)
    larger = np.maximum(within, nearest)
    widths = np.divide(nearest - within, larger, out=np.zeros_like(within), where=(fellows > 0) & (larger > 0))
    return float(widths.mean())


class Ranks:
    """Which points are near which.

    Attributes:
        order: each point's neighbours from the nearest to the farthest, `(n, n)`; the first is the point itself, and
            equally near ones are in the order of the points.
        rank: the other way round: at `[i, j]`, which neighbour of `i` the point `j` is; 0 for itself.
    """

    def __init__(self, points: np.ndarray) -> None:
        distance = cdist(points, points)
        np.fill_diagonal(distance, -1.0)
        self.order = np.argsort(distance, axis=1, kind="stable")
        self.rank = np.empty_like(self.order)
        np.put_along_axis(self.rank, self.order, np.arange(len(points))[None], axis=1)


def preservation(neighbours: Ranks, ranks: Ranks, k: int, group: np.ndarray) -> Replicated:
    """How far the k nearest neighbours in one space are from being it in another; 1: they are the same.

    With neighbours among codes and ranks among data it is the codes' trustworthiness, with neighbours among data and
    ranks among codes their continuity (Venna & Kaski 2001, equations 1 and 2).

    Args:
        neighbours: of the points in the space whose neighbours are looked up.
        ranks: of the same points in the space in which it is penalised that they are far.
        k: fewer than half of the points, with any one group left out too.
        group: the points' groups `(n,)`, 0 … groups-1.
    """
    whole = _preservation(neighbours, ranks, k, np.ones(len(group), dtype=bool))
    without = [_preservation(neighbours, ranks, k, group != g) for g in range(group.max() + 1)]
    return Replicated(whole, np.array(without))


def _preservation(neighbours: Ranks, ranks: Ranks, k: int, kept: np.ndarray) -> float:
    points, dropped = np.flatnonzero(kept), np.flatnonzero(~kept)
    n = len(points)
    candidates = neighbours.order[points, : 1 + k + len(dropped)]
    kept_first = np.argsort(~kept[candidates], axis=1, kind="stable")[:, 1 : k + 1]
    nearest = np.take_along_axis(candidates, kept_first, axis=1)
    rank = ranks.rank[points[:, None], nearest]
    rank -= (ranks.rank[points[:, None], dropped][:, None] < rank[:, :, None]).sum(2)
    return 1 - float(np.maximum(rank - k, 0).sum()) * 2 / (n * k * (2 * n - 3 * k - 1))

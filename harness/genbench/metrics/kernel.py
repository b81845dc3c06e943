"""The squared kernel distance (MMD²) between two sets of features: KID (Bińkowski et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genbench.metrics.resampling import GROUPS, group_of, jackknife

#: Values of the kernel that are held at once.
VALUES = 10_000_000


@dataclass(frozen=True)
class Kernel:
    """The distance, its standard error and its 95% interval."""

    distance: float
    stderr: float
    interval: tuple[float, float]


def kernel_distance(x: Tensor, y: Tensor) -> Kernel:
    """The unbiased estimate of MMD² with the kernel (x·y/d + 1)³ from all pairs of points (Gretton et al. 2012,
    equation 3), and its standard error by the jackknife, which leaves the same group out of both sets at once.

    It is zero on average for equal distributions, and so may be negative.

    Args:
        x: features `(n, d)` float64, rows in random order; at least 4.
        y: features `(m, d)` float64, likewise.
    """
    groups = min(GROUPS, len(x) // 2, len(y) // 2)
    within_x, within_y, between = _sums(x, x, groups), _sums(y, y, groups), _sums(x, y, groups)
    for sums, points in ((within_x, x), (within_y, y)):
        own = (points.square().sum(1) / points.shape[1] + 1) ** 3
        sums.diagonal().sub_(_by_group(own, groups))  # no point is paired with itself
    sizes = [_by_group(torch.ones_like(points[:, 0]), groups) for points in (x, y)]

    def distance(kept: Tensor) -> float:
        n, m = (size[kept].sum() for size in sizes)
        xx, yy, xy = (sums[kept][:, kept].sum() for sums in (within_x, within_y, between))
        return float(xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m))

    every = torch.arange(groups)
    whole = distance(every)
    found = jackknife(whole, [distance(every[every != group]) for group in range(groups)])
    return Kernel(whole, found.stderr, (whole - found.margin, whole + found.margin))


def _sums(x: Tensor, y: Tensor, groups: int) -> Tensor:
    """Sums of the kernel over all pairs of a point of x and one of y, by the groups of both, `(groups, groups)`."""
    sums = x.new_zeros(len(x), groups)
    rows = max(1, VALUES // len(y))
    for part, into in zip(x.split(rows), sums.split(rows), strict=True):
        kernel = (part @ y.T).div_(x.shape[1]).add_(1).pow_(3)
        into.copy_(_by_group(kernel.T, groups).T)
    return _by_group(sums, groups)


def _by_group(values: Tensor, groups: int) -> Tensor:
    """Sums `(groups, ...)` over the points `(n, ...)` of each group."""
    sizes = np.bincount(group_of(len(values), groups)).tolist()  # a group's points follow each other
    return torch.stack([part.sum(0) for part in values.split(sizes)])

"""Neighbourhoods in feature space: density and coverage (Naeem et al. 2020), and who is nearest to whom.

Squared distances are |x|² + |y|² - 2x·y, a matrix product away. What that loses in digits, some 1e-15 of the squared
norms, is less than what an extractor makes of one picture in two batches; squared distances that differ by less than
`TIE` of them are equal here, so that a copy is as near as can be, and two copies are equally near.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Squared distances are equal that differ by less than this share of the squared norms about the data's mean.
TIE = 1e-10

#: Distances that are held at once.
VALUES = 10_000_000


def density_coverage(samples: Tensor, data: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Naeem et al. 2020, equations 4 and 5, point by point: density and coverage are their means.

    A data point's ball reaches to its k-th nearest neighbour among the data; points on its surface are inside.

    Args:
        samples: features `(n, d)` float64.
        data: features `(m, d)` float64; m > k.
        k: the neighbour whose distance is a ball's radius.

    Returns:
        in how many balls each sample lies, divided by k, `(n,)`, and whether each data point's ball holds a sample,
        `(m,)`; both float64.
    """
    origin = data.mean(0)
    samples, data = samples - origin, data - origin
    balls = samples.new_zeros(len(samples))
    covered = []
    for part in data.split(max(1, VALUES // max(len(data), len(samples)))):
        # the nearest of them is the point itself
        radius = _squared_distances(part, data).topk(k + 1, largest=False).values[:, -1:]
        inside = _squared_distances(part, samples) <= radius + _tie(part, samples)
        balls += inside.sum(0)
        covered.append(inside.any(1))
    return balls / k, torch.cat(covered).double()


def nearest(samples: Tensor, data: Tensor) -> Tensor:
    """How many samples each data point is the nearest one to, `(m,)` float64; a sample with several nearest points
    counts in equal parts for each.

    Args:
        samples: features `(n, d)` float64.
        data: features `(m, d)` float64.
    """
    origin = data.mean(0)
    data = data - origin
    counts = data.new_zeros(len(data))
    for part in (samples - origin).split(max(1, VALUES // len(data))):
        distance = _squared_distances(part, data)
        tied = distance <= distance.min(1, keepdim=True).values + _tie(part, data)
        sample, point = tied.nonzero(as_tuple=True)
        ties = torch.bincount(sample, minlength=len(part)).double()
        counts.index_add_(0, point, 1 / ties[sample])
    return counts


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """`(n, m)`, of `(n, d)` and `(m, d)`."""
    return torch.addmm(y.square().sum(1), x, y.T, alpha=-2).add_(x.square().sum(1, keepdim=True))


def _tie(x: Tensor, y: Tensor) -> Tensor:
    """What is no difference between squared distances from each of x, `(n, 1)`."""
    return TIE * (x.square().sum(1, keepdim=True) + y.square().sum(1).mean())

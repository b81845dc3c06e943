"""Mean, covariance and principal axes of a data set, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 4096


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `(D,)` and maximum-likelihood covariance `(D, D)` (divided by n, not n-1) of points `(n, D)`, float64."""
    mean = x.mean(0, dtype=torch.float64)
    covariance = mean.new_zeros(len(mean), len(mean))
    for part in x.split(CHUNK):
        centred = part.double() - mean
        covariance.addmm_(centred.T, centred)
    return mean, covariance / len(x)


def principal_axes(covariance: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` largest eigenvalues `(k,)` of a covariance `(D, D)`, largest first, and their axes `(k, D)`."""
    values, vectors = torch.linalg.eigh(covariance)
    return values[-k:].flip(0), vectors[:, -k:].flip(1).T.contiguous()

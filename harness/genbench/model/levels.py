"""Discrete levels, continuous points and the real line: the one place where data goes from one to the other, and where
it is said what that does to a likelihood.

Discrete data x = level/(levels-1) is dequantised to u = (level + U[0, 1))/levels in [0, 1). If p is a density of u,
then log P(level) >= E_U[log p(u)] - dims ln(levels) (Theis, van den Oord & Bethge 2016, section 3.1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.data.spec import DataSpec


def log_volume(data: DataSpec) -> float:
    """dims ln(levels), in nats: what a log-density of dequantised points is above the log-probability of their levels;
    0 for continuous data, whose densities stand for themselves."""
    return 0.0 if data.levels is None else data.dims * math.log(data.levels)


def dequantize(x: Tensor, levels: int) -> Tensor:
    """u = (level + U[0, 1))/levels for discrete data `x` = level/(levels-1); same shape, in [0, 1)."""
    # so far below 1 that rounding can't take a point over the edge of its bin
    noise = torch.rand_like(x).clamp(max=1.0 - 2 * levels * torch.finfo(x.dtype).eps)
    return (torch.round(x * (levels - 1)) + noise) / levels


def bin_centres(x: Tensor, levels: int) -> Tensor:
    """u = (level + 1/2)/levels for discrete data `x` = level/(levels-1)."""
    return (x * (levels - 1) + 0.5) / levels


def quantize(u: Tensor, levels: int) -> Tensor:
    """The discrete data level/(levels-1) whose bin [level, level+1)/levels holds `u`; values outside are clipped."""
    return torch.floor(u * levels).clamp(0, levels - 1) / (levels - 1)


def snap(x: Tensor, levels: int) -> Tensor:
    """The discrete data level/(levels-1) nearest to `x`."""
    return torch.round(x * (levels - 1)).clamp(0, levels - 1) / (levels - 1)


def to_logit(u: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """z = logit(alpha + (1 - 2 alpha) u), elementwise, for u `(B, ...)` in [0, 1], and log |dz/du| `(B,)`
    (Dinh, Sohl-Dickstein & Bengio 2017, section 4.1)."""
    p = alpha + (1 - 2 * alpha) * u
    log_p, log_q = torch.log(p), torch.log1p(-p)
    return log_p - log_q, (math.log(1 - 2 * alpha) - log_p - log_q).flatten(1).sum(1)


def from_logit(z: Tensor, alpha: float) -> Tensor:
    """The inverse of `to_logit`."""
    return (torch.sigmoid(z) - alpha) / (1 - 2 * alpha)

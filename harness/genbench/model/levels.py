"""Discrete levels and continuous points: the one place where data goes from one to the other.

Discrete data x = level/(levels-1) is dequantised to u = (level + U[0, 1))/levels in [0, 1). If p is a density of u,
then log P(level) >= E_U[log p(u)] - dims ln(levels) (Theis, van den Oord & Bethge 2016, section 3.1).
"""

from __future__ import annotations

import torch
from torch import Tensor


def dequantize(x: Tensor, levels: int) -> Tensor:
    """u = (level + U[0, 1))/levels for discrete data `x` = level/(levels-1); same shape, in [0, 1)."""
    # so far below 1 that rounding can't take a point over the edge of its bin
    noise = torch.rand_like(x).clamp(max=1.0 - 2 * levels * torch.finfo(x.dtype).eps)
    return (torch.round(x * (levels - 1)) + noise) / levels


def quantize(u: Tensor, levels: int) -> Tensor:
    """The discrete data level/(levels-1) whose bin [level, level+1)/levels holds `u`; values outside are clipped."""
    return torch.floor(u * levels).clamp(0, levels - 1) / (levels - 1)


def snap(x: Tensor, levels: int) -> Tensor:
    """The discrete data level/(levels-1) nearest to `x`."""
    return torch.round(x * (levels - 1)).clamp(0, levels - 1) / (levels - 1)

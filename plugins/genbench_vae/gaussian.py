"""Gaussian variables: what a network's output says about them, and how fast their divergence comes to count."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal

#: Bounds of every log standard deviation, so that no exponential overflows.
MIN_LOG_STD, MAX_LOG_STD = -7.0, 3.0


def gaussian(parameters: Tensor) -> Normal:
    """N(m, s²) over `(B, d)` of a network's output `(B, 2d)`: m and log s side by side, in float32 at least."""
    mean, log_std = parameters.to(torch.promote_types(parameters.dtype, torch.float32)).chunk(2, dim=1)
    return Normal(mean, log_std.clamp(MIN_LOG_STD, MAX_LOG_STD).exp(), validate_args=False)


def standard_like(q: Normal) -> Normal:
    """N(0, 1) over variables of the shape of `q`'s."""
    return Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean), validate_args=False)


def warm_up(progress: float, share: float) -> float:
    """A weight that rises from 0 to 1 over the first `share` of the budget (Sønderby et al. 2016); 1 without one."""
    return min(1.0, progress / share) if share else 1.0

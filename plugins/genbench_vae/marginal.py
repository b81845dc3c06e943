"""Where a decoder should start: at each dimension's own mean and spread, whatever the code."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.model import DataSpec, Likelihood

#: Means of binary and discrete dimensions are kept this far from 0 and 1, where a logit is infinite.
MIN_MEAN = 0.01
#: The least spread that a dimension starts with: one that is constant in a batch need not be so in the data.
MIN_STD = 0.03


def marginal_parameters(data: DataSpec, x: Tensor, likelihood: Likelihood = "auto", std: float | None = None) -> Tensor:
    """Parameters `(m*C, H, W)` or `(m*D,)` at which `observe` has the mean (and spread, if it can) of points `x`."""
    mean = x.mean(0)
    log_std = x.std(0, unbiased=False).clamp(min=MIN_STD).log()
    location = mean if data.kind == "continuous" else torch.logit(mean.clamp(MIN_MEAN, 1 - MIN_MEAN))
    if data.kind == "binary" or std is not None:
        return location
    if data.kind == "continuous" or likelihood == "gaussian":
        return torch.cat([location, log_std])
    # a logistic density of scale s has the standard deviation s pi / sqrt(3); `observe` subtracts 2 from the log
    return torch.cat([location, log_std + math.log(math.sqrt(3) / math.pi) + 2.0])

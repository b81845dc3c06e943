"""p(x|z) for decoders that have none: their mean data point with noise around it, of a kind that suits the data."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.data import DataSpec
from genbench.model import Bernoulli, DiscretizedGaussian, Gaussian, Observation

#: The largest scale that is tried, by kind of data, in units of `spread`, and the ratio of two neighbouring ones.
LARGEST = {"binary": 0.25, "discrete": 1.0, "continuous": 1.0}
RATIO, COUNT = 2**-0.5, 11


def noisy(data: DataSpec, mean: Tensor, scale: float) -> Observation:
    """The distribution around `mean` `(B, *shape)`: for continuous data a Gaussian of standard deviation `scale`, for
    discrete data its mass in each level's bin, for binary data the mean's pixels, each flipped with probability
    `scale`."""
    if data.kind == "binary":
        return Bernoulli(torch.logit(scale + (1 - 2 * scale) * mean.clamp(0, 1)))
    if data.levels is not None:
        return DiscretizedGaussian(mean, scale, data.levels)
    return Gaussian(mean, mean.new_tensor(scale).log())


def noise_name(data: DataSpec) -> str:
    """What `noisy` makes, in words."""
    return {"binary": "pixel flips", "discrete": "discretised Gaussian", "continuous": "Gaussian"}[data.kind]


def scales(data: DataSpec, x: Tensor) -> list[float]:
    """The scales among which the best on held-out data is chosen, for data like `x` `(N, *shape)`: the largest explains
    the data without any code, the smallest is a fiftieth of that."""
    spread = 1.0 if data.kind == "binary" else x.double().std().item()
    return [LARGEST[data.kind] * spread * RATIO**step for step in range(COUNT)]

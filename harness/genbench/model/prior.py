"""p(z)."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal


def standard_normal(dims: int, like: Tensor) -> Distribution:
    """N(0, I) over codes of `dims` dimensions, on the device and in the precision of `like`."""
    origin = like.new_zeros(dims)
    return Independent(Normal(origin, origin + 1), 1)

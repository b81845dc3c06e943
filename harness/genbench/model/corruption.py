"""Noise that a model may be asked to take away: what a denoising autoencoder trains on, and what it is scored on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from genbench.data.spec import DataSpec
from genbench.errors import UnsupportedData

#: How an option names a corruption.
Corruption = Literal["gaussian", "masking", "salt-and-pepper"]


def check_corruption(data: DataSpec, corruption: Corruption) -> None:
    """Refuse a corruption that such data can't have.

    Raises:
        UnsupportedData: salt and pepper are the ends of a range, and the data has none.
    """
    if corruption == "salt-and-pepper" and data.levels is None:
        raise UnsupportedData("salt-and-pepper noise needs data in [0, 1], this is continuous")


def corrupt(
    x: Tensor, corruption: Corruption, amount: float | Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Corrupted copies of data points `x` `(B, *shape)`, each dimension on its own (Vincent et al. 2010, section 3.3).

    Args:
        x: the clean points.
        corruption: `"gaussian"` adds `amount` · N(0, 1), and may leave the data's range and levels; `"masking"` sets a
            dimension to 0 with probability `amount` and leaves the scale of the others alone; `"salt-and-pepper"` sets
            it to 0 or to 1, each with probability `amount`/2, so that `amount` is the rate of both together.
        amount: a standard deviation in the data's units, or a probability.
        generator: draws the noise, on its own device; torch's global one where none is given.
    """
    device = x.device if generator is None else generator.device
    if corruption == "gaussian":
        return x + amount * torch.randn(x.shape, dtype=x.dtype, device=device, generator=generator).to(x.device)
    u = torch.rand(x.shape, dtype=x.dtype, device=device, generator=generator).to(x.device)
    hit = u < amount
    if corruption == "masking":
        return x.masked_fill(hit, 0.0)
    return torch.where(hit, (u < amount / 2).to(x.dtype), x)

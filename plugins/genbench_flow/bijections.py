"""Invertible maps with exact log-determinants, the parts that flows are made of.

Every map treats a batch: `x` is `(B, *shape)`, log-determinants are `(B,)`, in nats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.model import from_logit, to_logit

#: Affine couplings multiply by no more than exp of this and no less than exp of its negative.
MAX_LOG_SCALE = 2.0

#: Data-dependent initialisation takes no standard deviation below this one as it is.
MIN_DEVIATION = 1e-4


class Bijection(nn.Module, ABC):
    """An invertible map z = f(x)."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z and log|det dz/dx|."""

    @abstractmethod
    def inverse(self, z: Tensor) -> Tensor:
        """The x that is mapped to `z`."""

    def initialize(self, x: Tensor) -> Tensor:
        """Set parameters by the data `x` that arrives here, where the map has such; returns z."""
        return self(x)[0]


class Chain(Bijection):
    """Maps one after the other."""

    def __init__(self, parts: Sequence[Bijection]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def __iter__(self) -> Iterator[Bijection]:
        return cast("Iterator[Bijection]", iter(self.parts))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for part in self:
            x, log_det = part(x)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor) -> Tensor:
        for part in reversed(list(self)):
            z = part.inverse(z)
        return z

    def initialize(self, x: Tensor) -> Tensor:
        for part in self:
            x = part.initialize(x)
        return x


class Logit(Bijection):
    """z = logit(alpha + (1 - 2 alpha) x), elementwise, for x in [0, 1] (Dinh et al. 2017, section 4.1)."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return to_logit(x, self.alpha)

    def inverse(self, z: Tensor) -> Tensor:
        return from_logit(z, self.alpha)


class ActNorm(Bijection):
    """z = (x - location) exp(-log_scale) in every dimension, started so that the first batch comes out with mean 0
    and variance 1 (Kingma & Dhariwal 2018, section 3.1, there per channel)."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.location = nn.Parameter(torch.zeros(*shape))
        self.log_scale = nn.Parameter(torch.zeros(*shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x - self.location) * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return z * torch.exp(self.log_scale) + self.location

    @torch.no_grad()
    def initialize(self, x: Tensor) -> Tensor:
        self.location.copy_(x.mean(0))
        self.log_scale.copy_(x.std(0, correction=0).clamp_min(MIN_DEVIATION).log())
        return self(x)[0]


class Coupling(Bijection):
    """z = x exp(s) + t where the mask is 0, with s and t computed from x where the mask is 1, which stays as it is
    (Dinh et al. 2017, equations 7 to 9).

    Args:
        mask: 0 and 1, of the shape of one data point.
        net: maps `(B, C, ...)` to `(B, 2C, ...)`: t and, before it is bounded, s.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, net: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.net = net

    def _shift_and_log_scale(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = self.net(x * self.mask).to(x.dtype).chunk(2, dim=1)
        free = 1 - self.mask
        return shift * free, MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE) * free

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = self._shift_and_log_scale(x)
        return x * torch.exp(log_scale) + shift, log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor) -> Tensor:
        shift, log_scale = self._shift_and_log_scale(z)
        return (z - shift) * torch.exp(-log_scale)


class Squeeze(Bijection):
    """`(C, H, W)` to `(4C, H/2, W/2)`: every 2x2 block becomes four channels. H and W must be even."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return F.pixel_shuffle(z, 2)


class Flatten(Bijection):
    """`shape` to a vector."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return z.reshape(len(z), *self.shape)


class FactorOut(Bijection):
    """Leaves the second half of the channels as it is and sends the first through `inner`; z is a vector, the first
    half's result first (the multi-scale architecture of Dinh et al. 2017, section 3.6).

    Args:
        shape: `(C, H, W)` of the input, C even.
        inner: maps `(C/2, H, W)` to a vector of the same size.
    """

    def __init__(self, shape: Sequence[int], inner: Bijection) -> None:
        super().__init__()
        self.rest_shape = (shape[0] // 2, *shape[1:])
        self.inner = inner

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, rest = x.chunk(2, dim=1)
        z, log_det = self.inner(kept)
        return torch.cat([z, rest.flatten(1)], dim=1), log_det

    def inverse(self, z: Tensor) -> Tensor:
        kept, rest = z.chunk(2, dim=1)
        return torch.cat([self.inner.inverse(kept), rest.reshape(len(z), *self.rest_shape)], dim=1)

    def initialize(self, x: Tensor) -> Tensor:
        kept, rest = x.chunk(2, dim=1)
        return torch.cat([self.inner.initialize(kept), rest.flatten(1)], dim=1)


def checkerboard(shape: Sequence[int]) -> Tensor:
    """1 where row + column is even, for images `(C, H, W)`; 1 at even positions, for vectors `(D,)`."""
    rows = torch.arange(shape[-1])
    if len(shape) == 3:
        rows = rows + torch.arange(shape[1])[:, None]
    return (1.0 - rows % 2).expand(*shape).clone()


def half_channels(shape: Sequence[int]) -> Tensor:
    """1 in the first half of the channels of images `(C, H, W)`."""
    mask = torch.zeros(*shape)
    mask[: shape[0] // 2] = 1.0
    return mask

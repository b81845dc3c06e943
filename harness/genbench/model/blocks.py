"""Network parts that more than one model uses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.data.spec import DataSpec


def mlp(sizes: Sequence[int], activation: type[nn.Module] = nn.SiLU) -> nn.Sequential:
    """A fully connected network through layers of these `sizes`, with `activation` between them but not at the end."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    return nn.Sequential(*layers[:-1])


class ConvEncoder(nn.Module):
    """Images `(B, C, H, W)` to `(B, features)`: two strided convolutions, each of which halves the size, and one
    hidden layer."""

    def __init__(self, data: DataSpec, width: int, features: int) -> None:
        super().__init__()
        channels, height, rows = data.shape
        grid = _quarter(height) * _quarter(rows)
        self.net = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2 * width * grid, 8 * width),
            nn.SiLU(),
            nn.Linear(8 * width, features),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class ConvDecoder(nn.Module):
    """Codes `(B, features)` to `(B, multiplier*C, H, W)`: the mirror image of `ConvEncoder`."""

    def __init__(self, data: DataSpec, width: int, features: int, multiplier: int = 1) -> None:
        super().__init__()
        channels, self.height, self.width = data.shape
        grid = (2 * width, _quarter(self.height), _quarter(self.width))
        self.net = nn.Sequential(
            nn.Linear(features, 8 * width),
            nn.SiLU(),
            nn.Linear(8 * width, math.prod(grid)),
            nn.SiLU(),
            nn.Unflatten(1, grid),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(width, multiplier * channels, 4, stride=2, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)[:, :, : self.height, : self.width]


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))), `(B, channels, H, W)` to the same (He et al. 2016, pre-activation, no norm)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


def _quarter(size: int) -> int:
    """Size after two strided convolutions with padding 1: halved and rounded up, twice."""
    return math.ceil(math.ceil(size / 2) / 2)

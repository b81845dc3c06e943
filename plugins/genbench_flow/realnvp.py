"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2017)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from genbench.model import (
    Batch,
    DataSpec,
    Density,
    Encoder,
    GradientConfig,
    GradientModel,
    ResidualBlock,
    Sampler,
    bin_centres,
    dequantize,
    log_volume,
    quantize,
)
from genbench_flow.bijections import (
    ActNorm,
    Bijection,
    Chain,
    Coupling,
    FactorOut,
    Flatten,
    Logit,
    Squeeze,
    checkerboard,
    half_channels,
)

#: Convolutional conditioners work on a grid of at most this many rows and columns, where sizes allow.
GRID = 8

#: Vector data get this many times `couplings`, and conditioners whose layers are this many times `width` wide.
VECTOR = 4


class RealNVP(GradientModel, Sampler, Density, Encoder):
    """z = f(x) by affine couplings, z ~ N(0, I), log p(x) = log N(f(x); 0, I) + log|det df/dx|.

    Images pass, at every resolution but the last, `couplings` couplings with alternating checkerboard masks, a squeeze
    of 2x2 blocks into channels, and `couplings` couplings with alternating halves of the channels; half of the
    channels then leave for z and the rest goes on at the lower resolution, until `scales` resolutions are used or a
    side is odd. The last resolution has checkerboard masks only. Vectors `(D,)` pass couplings with alternating masks
    over their dimensions. An affine normalisation of every dimension, initialised by data, stands at the start and
    behind every coupling. It takes the place of the paper's batch normalisation, under which the density of one point
    depends on the others in its batch.

    Discrete and binary data are dequantised uniformly to u in [0, 1) and mapped by a logit to the real line, whose
    log-determinant is part of the density. `log_prob` is the log-density of u, or of x where data are continuous.
    The little mass that the model puts outside [0, 1) is clipped to the outermost levels by `sample`, and makes the
    bound on log P(levels) that follows from `log_prob` a little lower, never higher.

    The loss is the mean negative log-density, in nats per dimension.
    """

    continuous = True

    class Config(GradientConfig):
        """Options of `RealNVP`."""

        learning_rate: float = Field(3e-3, gt=0, description="Adam's step size at its largest")
        couplings: int = Field(
            2, ge=1, description="couplings in a row with one kind of mask; for vectors 4 times this"
        )
        scales: int = Field(2, ge=1, description="resolutions that an image is looked at, as far as its sides are even")
        width: int = Field(32, ge=1, description="channels of the conditioners; for vectors 4 times as many units")
        depth: int = Field(1, ge=0, description="residual blocks of a conditioner; for vectors hidden layers but one")
        dropout: float = Field(0.1, ge=0, lt=1, description="dropout in the conditioners of discrete and binary data")
        alpha: float = Field(1e-3, gt=0, lt=0.5, description="the logit is of alpha + (1 - 2 alpha) u")

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        parts: list[Bijection] = [] if data.levels is None else [Logit(config.alpha)]
        body = self._resolution(data.shape, config.scales) if data.is_image else self._vector(data.shape)
        self.flow = Chain([*parts, ActNorm(data.shape), *body])

    @torch.no_grad()
    def setup(self, batch: Batch) -> None:
        self.flow.initialize(self._continuous(batch.x))

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        loss = -self.log_prob(self._continuous(batch.x)).mean() / self.data.dims
        if self.data.levels is None:
            return {"loss": loss}
        return {"loss": loss, "bits_per_dim": (loss + log_volume(self.data) / self.data.dims) / math.log(2)}

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        z, log_det = self.flow(x)
        return log_det - 0.5 * (z * z + math.log(2 * math.pi)).sum(1)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        x = self.flow.inverse(torch.randn(n, self.data.dims, device=next(self.parameters()).device))
        return x if self.data.levels is None else quantize(x, self.data.levels)

    def encode(self, x: Tensor) -> Tensor:
        """z, `(B, dims)`, of x; of the middle of each level's bin where data are discrete."""
        if self.data.levels is not None:
            x = bin_centres(x, self.data.levels)
        return self.flow(x)[0]

    def _continuous(self, x: Tensor) -> Tensor:
        return x if self.data.levels is None else dequantize(x, self.data.levels)

    def _resolution(self, shape: tuple[int, ...], scales: int) -> Iterator[Bijection]:
        """The couplings at this resolution of an image and all lower ones, to a vector."""
        channels, rows, columns = shape
        yield from self._couplings(shape, checkerboard(shape), self.config.couplings)
        if scales == 1 or rows % 2 or columns % 2:
            yield Flatten(shape)
            return
        squeezed = (4 * channels, rows // 2, columns // 2)
        yield Squeeze()
        yield from self._couplings(squeezed, half_channels(squeezed), self.config.couplings)
        kept = (2 * channels, rows // 2, columns // 2)
        yield FactorOut(squeezed, Chain(list(self._resolution(kept, scales - 1))))

    def _vector(self, shape: tuple[int, ...]) -> Iterator[Bijection]:
        yield from self._couplings(shape, checkerboard(shape), VECTOR * self.config.couplings)

    def _couplings(self, shape: tuple[int, ...], mask: Tensor, count: int) -> Iterator[Bijection]:
        """Couplings with `mask` and its opposite in turn, each followed by a normalisation."""
        for index in range(count):
            yield Coupling(mask if index % 2 == 0 else 1 - mask, self._conditioner(shape))
            yield ActNorm(shape)

    def _conditioner(self, shape: tuple[int, ...]) -> nn.Module:
        width, depth = self.config.width, self.config.depth
        dropout = 0.0 if self.data.levels is None else self.config.dropout
        if len(shape) == 3:
            return ConvConditioner(shape, width, depth, dropout)
        return mlp_conditioner(shape[0], VECTOR * width, depth, dropout)


class ConvConditioner(nn.Sequential):
    """`(B, C, H, W)` to `(B, 2C, H, W)`, zero at first: a residual network on a coarse grid of blocks of pixels.

    Blocks of pixels become channels until at most `GRID` rows and columns remain (or a side is odd), which bounds the
    cost of large images; each place of the grid has a bias of its own, for what is typical there.
    """

    def __init__(self, shape: tuple[int, ...], width: int, depth: int, dropout: float) -> None:
        channels, rows, columns = shape
        block = 1
        while max(rows, columns) > GRID * block and rows % (2 * block) == columns % (2 * block) == 0:
            block *= 2
        last = nn.Conv2d(width, 2 * channels * block**2, 3, padding=1)
        super().__init__(
            nn.PixelUnshuffle(block),
            nn.Conv2d(channels * block**2, width, 3, padding=1),
            Bias((width, rows // block, columns // block)),
            nn.Dropout2d(dropout),
            *(ResidualBlock(width) for _ in range(depth)),
            nn.SiLU(),
            nn.Dropout2d(dropout),
            _zeroed(last),
            nn.PixelShuffle(block),
        )


class Bias(nn.Module):
    """Adds a learned `(C, H, W)`."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def mlp_conditioner(dims: int, width: int, depth: int, dropout: float) -> nn.Sequential:
    """`(B, D)` to `(B, 2D)`, zero at first: fully connected, `depth` + 1 hidden layers of `width` units."""
    sizes = [dims] + [width] * (depth + 1)
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.SiLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, _zeroed(nn.Linear(width, 2 * dims)))


def _zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None  # the layers here have one
    nn.init.zeros_(layer.bias)
    return layer

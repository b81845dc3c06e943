"""Network parts that more than one model uses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from genbench.data.spec import DataSpec
from genbench.errors import UnsupportedData
from genbench.model.base import ModelConfig

#: How an option names the network of an encoder and its decoder: `"auto"` is `"conv"` for images, `"mlp"` for vectors.
Network = Literal["auto", "conv", "mlp"]


class NetworkConfig(ModelConfig):
    """Options of a model with an `autoencoder`. An option of the kind of network that it will not have is refused.

    Attributes:
        dense: names of those options that only a fully connected network has.
    """

    dense: ClassVar[tuple[str, ...]] = ("hidden",)

    network: Network = Field(
        "auto",
        description="convolutional, fully connected, or by default as suits the data's shape; fully connected where "
        "options of such a network are given",
    )
    width: int = Field(32, ge=1, description="channels of the first convolution; the second has twice as many")

    @model_validator(mode="after")
    def _options_of_the_network(self) -> Self:
        unused = {"conv": self._changed(*self.dense), "mlp": self._changed("width"), "auto": []}[self.network]
        if unused:
            other = "mlp" if self.network == "conv" else "conv"
            raise ValueError(f"{unused[0]} is an option of network={other}, not of network={self.network}")
        return self

    @property
    def architecture(self) -> Network:
        """`network`, or the kind whose options are given."""
        if self.network == "auto" and self._changed(*self.dense) and not self._changed("width"):
            return "mlp"
        return self.network

    def _changed(self, *options: str) -> list[str]:
        return [name for name in options if getattr(self, name) != type(self).model_fields[name].default]


def autoencoder(
    data: DataSpec,
    network: Network,
    *,
    features: int,
    latent_dim: int,
    multiplier: int = 1,
    width: int = 32,
    hidden: Sequence[int] = (512, 512),
    activation: type[nn.Module] = nn.SiLU,
    dropout: float = 0.0,
) -> tuple[nn.Module, nn.Module]:
    """An encoder of data points to `(B, features)`, and a decoder of codes `(B, latent_dim)` to
    `(B, multiplier*C, H, W)` or `(B, multiplier*D)`.

    Args:
        data: the data's spec.
        network: which kind of network both are.
        features: numbers per data point that the encoder returns.
        latent_dim: numbers per code that the decoder takes.
        multiplier: numbers per data dimension that the decoder returns, as `parameter_channels(data)` for `observe`.
        width: channels of a convolutional network (`ConvEncoder`, `ConvDecoder`).
        hidden: units of a fully connected encoder's hidden layers, the first one next to the data; the decoder has the
            same in reverse.
        activation: of the fully connected hidden layers.
        dropout: the share of hidden units, or of a convolution's channels, that are dropped in training.

    Raises:
        UnsupportedData: a convolutional network was asked for vectors.
    """
    if network == "mlp" or (network == "auto" and not data.is_image):
        to_code = mlp((data.dims, *hidden, features), activation, dropout)
        from_code = mlp((latent_dim, *reversed(hidden), multiplier * data.dims), activation, dropout)
        shape = (multiplier * data.shape[0], *data.shape[1:])
        return nn.Sequential(nn.Flatten(), to_code), nn.Sequential(from_code, nn.Unflatten(1, shape))
    if not data.is_image:
        raise UnsupportedData("network=conv needs images; vectors need network=mlp")
    return (
        ConvEncoder(data, width, features, dropout=dropout),
        ConvDecoder(data, width, latent_dim, multiplier, dropout=dropout),
    )


def mlp(sizes: Sequence[int], activation: type[nn.Module] = nn.SiLU, dropout: float = 0.0) -> nn.Sequential:
    """A fully connected network through layers of these `sizes`, with `activation` (and `dropout`, where it is not 0)
    between them but not at the end."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(fan_in, fan_out), *_activate(dropout, activation)]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def he_init(network: nn.Module) -> None:
    """Draw weights anew so that rectified signals keep their size from layer to layer (He et al. 2015, equation 10),
    which torch's own initialisation shrinks; biases start at 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            fan_in: float = layer.weight[0].numel()
            if isinstance(layer, nn.ConvTranspose2d):
                # an output is the sum over input channels and those positions of the kernel that the stride leaves
                fan_in = layer.in_channels * math.prod(layer.kernel_size) / math.prod(layer.stride)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class ConvEncoder(nn.Module):
    """Images `(B, C, H, W)` to `(B, features)`: two strided convolutions, each of which halves the size, and one
    hidden layer."""

    def __init__(self, data: DataSpec, width: int, features: int, dropout: float = 0.0) -> None:
        super().__init__()
        channels, height, rows = data.shape
        grid = _quarter(height) * _quarter(rows)
        self.net = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            *_activate_channels(dropout),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            *_activate_channels(dropout),
            nn.Flatten(),
            nn.Linear(2 * width * grid, 8 * width),
            *_activate(dropout),
            nn.Linear(8 * width, features),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class ConvDecoder(nn.Module):
    """Codes `(B, features)` to `(B, multiplier*C, H, W)`: the mirror image of `ConvEncoder`."""

    def __init__(self, data: DataSpec, width: int, features: int, multiplier: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        channels, self.height, self.width = data.shape
        grid = (2 * width, _quarter(self.height), _quarter(self.width))
        self.net = nn.Sequential(
            nn.Linear(features, 8 * width),
            *_activate(dropout),
            nn.Linear(8 * width, math.prod(grid)),
            *_activate(dropout),
            nn.Unflatten(1, grid),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            *_activate_channels(dropout),
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


def _activate(dropout: float, activation: type[nn.Module] = nn.SiLU) -> list[nn.Module]:
    return [activation(), nn.Dropout(dropout)] if dropout else [activation()]


def _activate_channels(dropout: float) -> list[nn.Module]:
    """As `_activate`, but channels are dropped whole (Tompson et al. 2015), which takes far fewer random numbers."""
    return [nn.SiLU(), nn.Dropout2d(dropout)] if dropout else [nn.SiLU()]


def _quarter(size: int) -> int:
    """Size after two strided convolutions with padding 1: halved and rounded up, twice."""
    return math.ceil(math.ceil(size / 2) / 2)

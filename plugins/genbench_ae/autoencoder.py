"""What all autoencoders that are trained by gradients share: networks, reconstruction loss, codes that are sampled."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from genbench.model import (
    Batch,
    DataSpec,
    GradientConfig,
    GradientModel,
    NetworkConfig,
    Reconstructor,
    UnsupportedData,
    autoencoder,
    he_init,
)
from genbench_ae.density import CodeDensity, DensityConfig, SampledCodes

ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class EncoderDecoderConfig(GradientConfig, DensityConfig):
    """Options of every model of an encoder and a decoder: the code's size and how codes are sampled."""

    learning_rate: float = Field(2e-3, gt=0, description="Adam's step size at its largest")
    latent_dim: int | None = Field(
        None, ge=1, description="size of the code, maybe larger than the data; 16 by default (fewer on tiny data)"
    )


class EncoderDecoder(SampledCodes, GradientModel, Reconstructor):
    """z = f(x) and x' = g(z), trained by gradients for the least |x - x'|², summed over dimensions, per data point."""

    Config: ClassVar[type[EncoderDecoderConfig]] = EncoderDecoderConfig
    config: EncoderDecoderConfig

    def __init__(self, data: DataSpec, config: EncoderDecoderConfig) -> None:
        super().__init__(data, config)
        self.latent_dim = config.latent_dim or self.default_latent_dim()
        self.encoder, self.decoder = self.networks()
        self.density = CodeDensity(self.latent_dim, config)

    def default_latent_dim(self) -> int:
        """The size of the code where none is asked for."""
        return max(1, min(16, self.data.dims - 1))

    @abstractmethod
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """f, from `(B, *shape)` to `(B, latent_dim)`, and g, from there to `(B, *shape)`."""

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        return {"loss": self.error(self.decoder(self.encode(batch.x)), batch.x)}

    def error(self, output: Tensor, x: Tensor) -> Tensor:
        """The loss of the decoder's `output` for clean `x`, both `(B, *shape)`: a mean over data points."""
        return (output - x).square().flatten(1).sum(1).mean()

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class AutoencoderConfig(EncoderDecoderConfig, NetworkConfig):
    """Options of the models whose networks mirror each other: the classical choices beside the code's size."""

    dense: ClassVar[tuple[str, ...]] = ("layers", "nodes", "activation")

    layers: int | None = Field(
        None, ge=0, description="fully connected hidden layers before the code, and after it; 2 by default"
    )
    nodes: str | None = Field(
        None,
        pattern=r"^[1-9]\d*(-[1-9]\d*)*$",
        description="units of the hidden layers from the data to the code (1000-500-250), or of each of layers (512), "
        "which the decoder mirrors; 512 by default",
    )
    activation: Literal["silu", "relu", "sigmoid", "tanh"] = Field(
        "silu", description="of the fully connected hidden layers"
    )
    loss: Literal["mse", "cross-entropy"] = Field(
        "mse", description="squared error, or cross-entropy of data in [0, 1] (which is no likelihood of grey data)"
    )

    @model_validator(mode="after")
    def _layers_that_there_are(self) -> AutoencoderConfig:
        nodes = self._nodes()
        if self.layers is not None and len(nodes) not in (1, self.layers):
            raise ValueError(f"nodes={self.nodes} lists {len(nodes)} layers, layers={self.layers}")
        return self

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of a fully connected encoder's hidden layers."""
        nodes = self._nodes()
        layers = 2 if self.nodes is None and self.layers is None else self.layers
        return nodes * layers if layers is not None and len(nodes) == 1 else nodes

    def _nodes(self) -> tuple[int, ...]:
        return tuple(int(count) for count in (self.nodes or "512").split("-"))


class Autoencoder(EncoderDecoder):
    """z = f(x) and x' = g(z), two networks that mirror each other.

    The loss is the error of x', summed over dimensions, per data point: |x - x'|², which PCA minimises where f and g
    are linear, or for data in [0, 1] the cross-entropy, with a sigmoid at the end of g.

    Raises:
        UnsupportedData: cross-entropy of data that is not in [0, 1], or `network="conv"` for vectors.
    """

    Config: ClassVar[type[AutoencoderConfig]] = AutoencoderConfig
    config: AutoencoderConfig

    def __init__(self, data: DataSpec, config: AutoencoderConfig) -> None:
        if config.loss == "cross-entropy" and data.levels is None:
            raise UnsupportedData("loss=cross-entropy needs data in [0, 1], this is continuous")
        super().__init__(data, config)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """f, from `(B, *shape)` to `(B, latent_dim)`, and g, from there to `(B, *shape)` (logits for cross-entropy)."""
        config = self.config
        encoder, decoder = autoencoder(
            self.data,
            config.architecture,
            features=self.latent_dim,
            latent_dim=self.latent_dim,
            width=config.width,
            hidden=config.hidden,
            activation=ACTIVATIONS[config.activation],
        )
        he_init(encoder)
        he_init(decoder)
        return encoder, decoder

    def error(self, output: Tensor, x: Tensor) -> Tensor:
        if self.config.loss == "mse":
            return super().error(output, x)
        return F.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1).mean()

    def decode(self, z: Tensor) -> Tensor:
        """g(z), in [0, 1] where the data lies there."""
        output = self.decoder(z)
        if self.config.loss == "cross-entropy":
            return output.sigmoid()
        return output if self.data.levels is None else output.clamp(0, 1)

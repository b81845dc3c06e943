"""What all autoencoders that are trained by gradients share: networks, reconstruction loss, codes that are sampled."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from genbench.model import (
    Batch,
    DataSpec,
    GradientConfig,
    GradientModel,
    Network,
    Reconstructor,
    UnsupportedData,
    autoencoder,
    he_init,
)
from genbench_ae.density import CodeDensity, DensityConfig, SampledCodes

ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class AutoencoderConfig(GradientConfig, DensityConfig):
    """Options that all these models have: the four classical choices and how codes are sampled."""

    learning_rate: float = Field(2e-3, gt=0, description="Adam's step size at its largest")
    latent_dim: int | None = Field(
        None, ge=1, description="size of the code, maybe larger than the data; 16 by default (fewer on tiny data)"
    )
    network: Network = Field("auto", description="convolutional, fully connected, or as suits the data's shape")
    width: int = Field(32, ge=1, description="channels of the first convolution; the second has twice as many")
    layers: int | None = Field(
        None, ge=0, description="fully connected hidden layers before the code, and after it; by default those of nodes"
    )
    nodes: str = Field(
        "512-512",
        pattern=r"^[1-9]\d*(-[1-9]\d*)*$",
        description="units of the hidden layers from the data to the code (1000-500-250), or of each (512), which the "
        "decoder mirrors",
    )
    activation: Literal["silu", "relu", "sigmoid", "tanh"] = Field(
        "silu", description="of the fully connected hidden layers"
    )
    loss: Literal["mse", "cross-entropy"] = Field(
        "mse", description="squared error, or cross-entropy of data in [0, 1] (which is no likelihood of grey data)"
    )

    @model_validator(mode="after")
    def _as_many_nodes_as_layers(self) -> AutoencoderConfig:
        if self.layers is not None and self.nodes.count("-") not in (0, self.layers - 1):
            raise ValueError(f"nodes={self.nodes} lists {self.nodes.count('-') + 1} layers, layers={self.layers}")
        return self

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the encoder's hidden layers."""
        nodes = tuple(int(count) for count in self.nodes.split("-"))
        return nodes * self.layers if self.layers is not None and len(nodes) == 1 else nodes


class Autoencoder(GradientModel, SampledCodes, Reconstructor):
    """z = f(x) and x' = g(z), two networks that mirror each other.

    The loss is the error of x', summed over dimensions, per data point: |x - x'|², which PCA minimises where f and g
    are linear, or for data in [0, 1] the cross-entropy, with a sigmoid at the end of g.

    Raises:
        UnsupportedData: cross-entropy of data that is not in [0, 1], or `network="conv"` for vectors.
    """

    Config = AutoencoderConfig
    config: AutoencoderConfig

    def __init__(self, data: DataSpec, config: AutoencoderConfig) -> None:
        super().__init__(data, config)
        if config.loss == "cross-entropy" and data.levels is None:
            raise UnsupportedData("loss=cross-entropy needs data in [0, 1], this is continuous")
        self.latent_dim = config.latent_dim or max(1, min(16, data.dims - 1))
        self.encoder, self.decoder = self.networks()
        self.density = CodeDensity(self.latent_dim, config)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """f, from `(B, *shape)` to `(B, latent_dim)`, and g, from there to `(B, *shape)` (logits for cross-entropy)."""
        config = self.config
        encoder, decoder = autoencoder(
            self.data,
            config.network,
            features=self.latent_dim,
            latent_dim=self.latent_dim,
            width=config.width,
            hidden=config.hidden,
            activation=ACTIVATIONS[config.activation],
        )
        he_init(encoder)
        he_init(decoder)
        return encoder, decoder

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        return {"loss": self.error(self.decoder(self.encode(batch.x)), batch.x)}

    def error(self, output: Tensor, x: Tensor) -> Tensor:
        """The loss of the decoder's `output` for clean `x`, both `(B, *shape)`: a mean over data points."""
        if self.config.loss == "mse":
            return (output - x).square().flatten(1).sum(1).mean()
        return F.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1).mean()

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """g(z), in [0, 1] where the data lies there."""
        output = self.decoder(z)
        if self.config.loss == "cross-entropy":
            return output.sigmoid()
        return output if self.data.levels is None else output.clamp(0, 1)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

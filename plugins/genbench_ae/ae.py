"""A deep undercomplete autoencoder (Hinton & Salakhutdinov 2006, Science 313)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from genbench.model import (
    Batch,
    ConvDecoder,
    ConvEncoder,
    DataSpec,
    Encoder,
    GradientConfig,
    GradientModel,
    Reconstructor,
    UnsupportedData,
    mlp,
)
from genbench_ae.latent import check_compressible, undercomplete


class AE(GradientModel, Encoder, Reconstructor):
    """z = f(x), and x' = g(z) of least squared error.

    The loss is |x - x'|² summed over dimensions, per data point: PCA's, which g and f linear would attain.

    Raises:
        UnsupportedData: the code would be as large as the data, or `network="conv"` was asked for vectors.
    """

    class Config(GradientConfig):
        """Options of `ae`."""

        latent_dim: int | None = Field(None, ge=1, description="size of the code; 16 by default (fewer on tiny data)")
        network: Literal["auto", "conv", "mlp"] = Field(
            "auto", description="convolutional, fully connected, or the former for images and the latter for vectors"
        )
        width: int = Field(32, ge=1, description="channels of the first convolution; the second has twice as many")
        hidden: int = Field(512, ge=1, description="units of each fully connected hidden layer (network=mlp)")

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        latent_dim = undercomplete(data, config.latent_dim, 16)
        self.encoder: nn.Module
        self.decoder: nn.Module
        if config.network == "mlp" or (config.network == "auto" and not data.is_image):
            sizes = (data.dims, config.hidden, config.hidden, latent_dim)
            self.encoder = nn.Sequential(nn.Flatten(), mlp(sizes))
            self.decoder = nn.Sequential(mlp(sizes[::-1]), nn.Unflatten(1, data.shape))
        elif data.is_image:
            self.encoder = ConvEncoder(data, config.width, latent_dim)
            self.decoder = ConvDecoder(data, config.width, latent_dim)
        else:
            raise UnsupportedData("network=conv needs images; choose network=mlp for vectors")

    @classmethod
    def check_data(cls, data: DataSpec) -> None:
        super().check_data(data)
        check_compressible(data)

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:  # nothing to schedule
        error = self.decoder(self.encoder(batch.x)) - batch.x
        return {"loss": error.square().flatten(1).sum(1).mean()}

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def reconstruct(self, x: Tensor) -> Tensor:
        """g(f(x)), cut to [0, 1] where the data lies there. Linear outputs: a sigmoid's fit worse."""
        output = self.decoder(self.encoder(x))
        return output if self.data.kind == "continuous" else output.clamp(0, 1)

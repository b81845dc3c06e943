"""A deep undercomplete autoencoder (Hinton & Salakhutdinov 2006, Science 313)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from genbench.model import (
    Batch,
    DataSpec,
    Encoder,
    GradientConfig,
    GradientModel,
    Network,
    Reconstructor,
    autoencoder,
    he_init,
)
from genbench_ae.latent import check_compressible, undercomplete


class AE(GradientModel, Encoder, Reconstructor):
    """z = f(x), and x' = g(z) of least squared error.

    The loss is |x - x'|², summed over dimensions, per data point: the one that PCA minimises where f and g are linear.

    Raises:
        UnsupportedData: the code would be as large as the data, or `network="conv"` was asked for vectors.
    """

    class Config(GradientConfig):
        """Options of `ae`."""

        learning_rate: float = Field(2e-3, gt=0, description="Adam's step size at its largest")
        latent_dim: int | None = Field(None, ge=1, description="size of the code; 16 by default (fewer on tiny data)")
        network: Network = Field("auto", description="convolutional, fully connected, or as suits the data's shape")
        width: int = Field(32, ge=1, description="channels of the first convolution; the second has twice as many")
        hidden: int = Field(512, ge=1, description="units of each fully connected hidden layer (network=mlp)")

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        latent_dim = undercomplete(data, config.latent_dim, 16)
        self.encoder, self.decoder = autoencoder(
            data, config.network, features=latent_dim, latent_dim=latent_dim, width=config.width, hidden=config.hidden
        )
        he_init(self)

    @classmethod
    def check_data(cls, data: DataSpec) -> None:
        super().check_data(data)
        check_compressible(data)

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        error = self.decoder(self.encoder(batch.x)) - batch.x
        return {"loss": error.square().flatten(1).sum(1).mean()}

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """g(z), cut to [0, 1] where the data lies there."""
        output = self.decoder(z)
        return output if self.data.kind == "continuous" else output.clamp(0, 1)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

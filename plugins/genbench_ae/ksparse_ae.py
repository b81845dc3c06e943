"""The k-sparse autoencoder (Makhzani & Frey 2014)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from genbench.model import DataSpec, Network, UnsupportedData
from genbench_ae.autoencoder import Autoencoder, AutoencoderConfig


class KSparseAE(Autoencoder):
    """z = the k largest of the linear code f(x), the others set to 0, and x' = g(z), in training and at test time.

    The largest, not the largest in magnitude, are kept (Makhzani & Frey 2014, section 2.1). By default f and g are one
    linear layer each, as there, but with weights of their own, and the code is twice as large as the data, up to 512.
    The paper also keeps more than k numbers at test time, which this does not: codes have k numbers that are not 0
    wherever f(x) has as many.

    Raises:
        UnsupportedData: the code has fewer than k numbers, or one of `Autoencoder`'s.
    """

    class Config(AutoencoderConfig):
        """Options of `ksparse_ae`."""

        k: int | None = Field(
            None, ge=1, description="numbers of a code that are not zero; 16 by default (a quarter of a small code)"
        )
        latent_dim: int | None = Field(
            None, ge=1, description="size of the code; twice that of the data by default, up to 512"
        )
        network: Network = Field("mlp", description="convolutional, fully connected, or as suits the data's shape")
        layers: int | None = Field(0, ge=0, description="fully connected hidden layers before the code, and after it")

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        latent_dim = config.latent_dim or min(512, 2 * data.dims)
        super().__init__(data, config.model_copy(update={"latent_dim": latent_dim}))
        self.k = config.k or min(16, max(1, latent_dim // 4))
        if self.k > latent_dim:
            raise UnsupportedData(f"k={self.k} is more than the {latent_dim} numbers of a code")

    def encode(self, x: Tensor) -> Tensor:
        return self.cut(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """g of the k largest of `z`, in [0, 1] where the data lies there: drawn codes have no zeros."""
        return super().decode(self.cut(z))

    def cut(self, z: Tensor) -> Tensor:
        """`z` `(B, latent_dim)` with all but the k largest of each row's numbers set to 0. Zeros are kept last, so that
        what is cut already, and may have kept negative numbers, stays as it is."""
        rank = z.masked_fill(z == 0, -torch.inf)
        kept = rank.topk(self.k, dim=1).indices
        return torch.zeros_like(z).scatter(1, kept, z.gather(1, kept))

"""The linear autoencoder (Baldi & Hornik 1989, Neural Networks 2)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from genbench.model import Batch
from genbench_ae.autoencoder import EncoderDecoder, EncoderDecoderConfig


class LinearAE(EncoderDecoder):
    """z = Ax + a and x' = Bz + b, trained by gradients for the least |x - x'|².

    All its minima are principal component analyses: B's columns span the leading eigenvectors of the training
    covariance and BA projects onto them, whatever the basis; every other critical point is a saddle (Baldi & Hornik
    1989, section 3). It starts as a projection onto random directions about the mean of one batch. Reconstructions are
    not cut to the data's range, as PCA's are not.
    """

    class Config(EncoderDecoderConfig):
        """Options of `linear_ae`."""

        batch_size: int = Field(256, ge=1, description="data points per training step")
        learning_rate: float = Field(5e-3, gt=0, description="Adam's step size at its largest")

    config: Config

    def networks(self) -> tuple[nn.Module, nn.Module]:
        to_code = nn.Linear(self.data.dims, self.latent_dim)
        from_code = nn.Linear(self.latent_dim, self.data.dims)
        nn.init.orthogonal_(to_code.weight)
        with torch.no_grad():
            from_code.weight.copy_(to_code.weight.T)
        nn.init.zeros_(to_code.bias)
        nn.init.zeros_(from_code.bias)
        return nn.Sequential(nn.Flatten(), to_code), nn.Sequential(from_code, nn.Unflatten(1, self.data.shape))

    @torch.no_grad()
    def setup(self, batch: Batch) -> None:
        """Put the origin of codes at the batch's mean."""
        weight, bias = self.encoder.parameters()
        _, origin = self.decoder.parameters()
        origin.copy_(batch.x.flatten(1).mean(0))
        bias.copy_(-weight @ origin)

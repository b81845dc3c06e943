"""Probabilistic PCA (Tipping & Bishop 1999, Journal of the Royal Statistical Society B 61)."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from genbench.model import (
    Batch,
    DataSpec,
    Density,
    Encoder,
    Model,
    ModelConfig,
    Reconstructor,
    Sampler,
    bin_centres,
    dequantize,
    log_volume,
    quantize,
)
from genbench_ae.latent import check_compressible, undercomplete
from genbench_ae.principal import moments, principal_axes

#: Below this a variance is rounding error of data that lies in a subspace, where the likelihood has no maximum.
MIN_VARIANCE = 1e-10


class PPCA(Model, Density, Sampler, Encoder, Reconstructor):
    """u = Wz + m + e with z ~ N(0, I) and e ~ N(0, s²I), so that u ~ N(m, WWᵀ + s²I).

    The likelihood is largest at W = Vᵀ(L - s²I)^½ (equation 7 with R = I), where V's rows and L are the leading
    eigenvectors and eigenvalues of the training covariance (divided by n), and s² is the mean of the others
    (equation 8). Binary and discrete data is a density over uniformly dequantised points u; their covariance is that
    of the levels plus the noise's own 1/(12 levels²) on the diagonal, so the fit needs no draws and no pixel is
    degenerate. Fitted in closed form by one update on the whole training split, scored in float64.

    Raises:
        UnsupportedData: the code would be as large as the data.
    """

    class Config(ModelConfig):
        """Options of `ppca`."""

        latent_dim: int | None = Field(
            None, ge=1, description="number of components; by default 7/8 of the dimensions, as fewer cost likelihood"
        )

    continuous = True
    config: Config
    mean: Tensor
    components: Tensor
    variances: Tensor
    noise: Tensor

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        latent_dim = undercomplete(data, config.latent_dim, max(1, data.dims * 7 // 8))
        self.register_buffer("mean", torch.zeros(data.dims, dtype=torch.float64))
        self.register_buffer("components", torch.zeros(latent_dim, data.dims, dtype=torch.float64))
        self.register_buffer("variances", torch.ones(latent_dim, dtype=torch.float64))
        self.register_buffer("noise", torch.ones((), dtype=torch.float64))

    @classmethod
    def check_data(cls, data: DataSpec) -> None:
        super().check_data(data)
        check_compressible(data)

    def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:  # one step is all
        mean, covariance = moments(self._bin_centres(batch.x.flatten(1)))
        if self.data.levels is not None:
            covariance.diagonal().add_(1 / (12 * self.data.levels**2))
        variances, axes = principal_axes(covariance, len(self.components))
        noise = (covariance.trace() - variances.sum()) / (self.data.dims - len(axes))
        self.mean.copy_(mean)
        self.components.copy_(axes)
        self.variances.copy_(variances.clamp(min=MIN_VARIANCE))
        self.noise.copy_(noise.clamp(min=MIN_VARIANCE))
        self.done = True
        return {"loss": 0.5 * (self._log_det() + self.data.dims * (1 + math.log(2 * math.pi))) + log_volume(self.data)}

    def validation_loss(self, batch: Batch) -> Tensor:
        u = batch.x if self.data.levels is None else dequantize(batch.x, self.data.levels)
        return log_volume(self.data) - self.log_prob(u).mean()

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:  # the density has no classes
        centred = x.flatten(1).double() - self.mean
        coordinates = centred @ self.components.T
        rest = (centred - coordinates @ self.components).square().sum(1)
        distance = (coordinates.square() / self.variances).sum(1) + rest / self.noise
        return -0.5 * (distance + self._log_det() + self.data.dims * math.log(2 * math.pi))

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:  # as above
        z = torch.randn(n, len(self.components), dtype=torch.float64, device=self.mean.device)
        e = torch.randn(n, self.data.dims, dtype=torch.float64, device=self.mean.device)
        u = (self._expand(z) + self.noise.sqrt() * e).float().view(n, *self.data.shape)
        return u if self.data.levels is None else quantize(u, self.data.levels)

    def encode(self, x: Tensor) -> Tensor:
        """The posterior mean E[z|u] = L^-1 (L - s²I)^½ V(u - m), at the centres of discrete data's bins."""
        coordinates = (self._bin_centres(x.flatten(1)).double() - self.mean) @ self.components.T
        return (coordinates * self._scale() / self.variances).float()

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(u|z), as data is presented."""
        u = self._expand(z.double())
        levels = self.data.levels
        return (u if levels is None else (u * levels - 0.5) / (levels - 1)).float().view(len(z), *self.data.shape)

    def reconstruct(self, x: Tensor) -> Tensor:
        """`decode` at the posterior mean of z; shrunk towards m, unlike PCA's projection."""
        return self.decode(self.encode(x))

    def _expand(self, z: Tensor) -> Tensor:
        return self.mean + (z * self._scale()) @ self.components

    def _scale(self) -> Tensor:
        return (self.variances - self.noise).clamp(min=0).sqrt()

    def _log_det(self) -> Tensor:
        return self.variances.log().sum() + (self.data.dims - len(self.variances)) * self.noise.log()

    def _bin_centres(self, x: Tensor) -> Tensor:
        levels = self.data.levels
        return x if levels is None else bin_centres(x, levels)

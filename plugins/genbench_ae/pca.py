"""Principal component analysis (Pearson 1901; Hotelling 1933)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from genbench.model import Batch, DataSpec, Model, Reconstructor
from genbench_ae.density import CodeDensity, DensityConfig, SampledCodes
from genbench_ae.latent import check_compressible, undercomplete
from genbench_ae.principal import moments, principal_axes


class PCA(SampledCodes, Model, Reconstructor):
    """z = V(x - m) and its reconstruction m + VᵀVx', with x' = x - m: the linear code of least squared error.

    V's rows are the leading eigenvectors of the training covariance. Fitted in closed form by one update on the whole
    training split; the loss is the squared error summed over dimensions, per data point.

    Raises:
        UnsupportedData: the code would be as large as the data.
    """

    class Config(DensityConfig):
        """Options of `pca`."""

        latent_dim: int | None = Field(
            None, ge=1, description="number of components; 16 by default (fewer on tiny data)"
        )

    config: Config
    mean: Tensor
    components: Tensor

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        latent_dim = undercomplete(data, config.latent_dim, 16)
        self.register_buffer("mean", torch.zeros(data.dims))
        self.register_buffer("components", torch.zeros(latent_dim, data.dims))
        self.density = CodeDensity(latent_dim, config)

    @classmethod
    def check_data(cls, data: DataSpec) -> None:
        super().check_data(data)
        check_compressible(data)

    def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:  # one step is all
        mean, covariance = moments(batch.x.flatten(1))
        values, axes = principal_axes(covariance, len(self.components))
        self.mean.copy_(mean)
        self.components.copy_(axes)
        self.done = True
        return {"loss": covariance.trace() - values.sum()}

    def validation_loss(self, batch: Batch) -> Tensor:
        return (self.reconstruct(batch.x) - batch.x).square().flatten(1).sum(1).mean()

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.components.T

    def decode(self, z: Tensor) -> Tensor:
        return (self.mean + z @ self.components).view(len(z), *self.data.shape)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

"""How do we sample z? A density of an autoencoder's codes, fitted after training (Ghosh et al. 2020, section 4.2)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from genbench.model import Batch, DataSpec, Decoder, Encoder, ModelConfig, Sampler, snap

#: Codes of more dimensions than these have components whose dimensions are independent.
FULL = 64
#: Codes that a kernel density stands on, and the bandwidths that are tried, in units of the codes' spread.
KERNELS, BANDWIDTHS = 2000, np.geomspace(0.02, 1.0, 12)
#: Least variance along any direction, as a share of the codes' own: that of dead units is 0.
MIN_VARIANCE = 1e-6


class DensityConfig(ModelConfig):
    """Options of every model whose codes have no density until one is fitted."""

    density: Literal["gaussian", "mixture", "kernel"] = Field(
        "mixture", description="density of the codes, fitted after training, from which new codes are drawn"
    )
    components: int = Field(10, ge=1, description="Gaussians of density=mixture")


class CodeDensity(nn.Module):
    """A mixture of Gaussians over codes of `dims` dimensions: one, a few fitted by expectation-maximisation, or one of
    the same width around each of many training codes (a kernel density). N(0, I) until it is fitted."""

    weights: Tensor
    means: Tensor
    scales: Tensor

    def __init__(self, dims: int, config: DensityConfig) -> None:
        super().__init__()
        self.config = config
        count = {"gaussian": 1, "mixture": config.components, "kernel": KERNELS}[config.density]
        self.full = config.density != "kernel" and dims <= FULL
        scale = torch.eye(dims) if self.full else torch.ones(dims)
        self.register_buffer("weights", torch.full((count,), 1 / count))
        self.register_buffer("means", torch.zeros(count, dims))
        self.register_buffer("scales", scale.repeat(count, *(1 for _ in scale.shape)))

    def distribution(self) -> Distribution:
        """p(z), over `(dims,)`."""
        component: Distribution = (
            MultivariateNormal(self.means, scale_tril=self.scales)
            if self.full
            else Independent(Normal(self.means, self.scales), 1)
        )
        return MixtureSameFamily(Categorical(self.weights), component)

    @torch.no_grad()
    def fit(self, codes: Tensor) -> None:
        """Fit to codes `(n, dims)`."""
        z = codes.double().cpu().numpy()
        if self.config.density == "kernel":
            weights, means, scales = _kernels(z)
        else:
            weights, means, scales = _mixture(z, min(len(self.weights), len(z)), "full" if self.full else "diag")
        empty = len(self.weights) - len(weights)  # fewer codes than components
        self.weights.copy_(torch.from_numpy(np.pad(weights, (0, empty))))
        self.means.copy_(torch.from_numpy(means[np.arange(len(self.weights)) % len(means)]))
        self.scales.copy_(torch.from_numpy(scales[np.arange(len(self.weights)) % len(scales)]))


class SampledCodes(Sampler, Decoder, Encoder):
    """A model whose codes have a density, `density`, that is fitted to training codes when training has ended."""

    data: DataSpec
    density: CodeDensity

    def finish(self, batch: Batch) -> None:
        self.density.fit(self.encode(batch.x))

    def prior(self) -> Distribution:
        return self.density.distribution()

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor: ...

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """The decoder's output for `n` codes drawn from their density, on the data's grid."""
        x = self.decode(self.prior().sample((n,)))
        return x if self.data.levels is None else snap(x, self.data.levels)


def _mixture(z: np.ndarray, count: int, covariance: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and scales (Cholesky factors, or standard deviations) of the components."""
    spread = max(float(z.var(0).mean()), 1e-12)
    found = GaussianMixture(count, covariance_type=covariance, reg_covar=MIN_VARIANCE * spread, random_state=0).fit(z)
    scales = np.linalg.cholesky(found.covariances_) if covariance == "full" else np.sqrt(found.covariances_)
    return found.weights_, found.means_, scales


def _kernels(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for one component around each of some codes, of the width with the best cross-validated likelihood."""
    z = z[:KERNELS]
    spread = max(float(np.sqrt(z.var(0).mean())), 1e-6)
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS * spread}, cv=min(5, len(z))).fit(z)
    width = search.best_params_["bandwidth"]
    return np.full(len(z), 1 / len(z)), z, np.full(z.shape, width)

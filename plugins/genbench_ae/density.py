"""How do we sample z? A density of an autoencoder's codes, fitted after training (Ghosh et al. 2020, section 4.2)."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal

from genbench.model import Batch, DataSpec, Decoder, Encoder, ModelConfig, Sampler, one_thread, snap

#: Numbers in the covariances of a mixture, at most, or those of one Gaussian: a bound on the time of a fit.
COVARIANCES = 2**17
#: Codes per Gaussian of a mixture and dimension, at least: with fewer it fits these codes and no others.
SUPPORT = 4
#: Steps of expectation-maximisation at most, and the gain in nats per code that ends them.
EM_STEPS, EM_GAIN = 20, 1e-2
#: Codes that a kernel density stands on, and the widths that are tried, in units of the codes' spread.
KERNELS, WIDTHS = 2000, np.geomspace(0.02, 1.0, 12).tolist()
#: Least variance along any direction, as a share of the codes' own: that of dead units is 0.
MIN_VARIANCE = 1e-6
#: Least spread that codes are taken to have: that of codes that are all the same is 0.
MIN_SPREAD = 1e-3


class DensityConfig(ModelConfig):
    """Options of every model whose codes have no density until one is fitted."""

    density: Literal["gaussian", "mixture", "kernel"] = Field(
        "mixture", description="density of the codes, fitted after training, from which new codes are drawn"
    )
    components: int = Field(10, ge=1, description="Gaussians of density=mixture; fewer for few codes or large ones")


class CodeDensity(nn.Module):
    """A mixture of Gaussians over codes of `dims` dimensions, N(0, I) until it is fitted.

    Either one Gaussian or a few of them, fitted by expectation-maximisation, or a kernel density: one of the same width
    around each of many training codes.
    """

    weights: Tensor
    means: Tensor
    scales: Tensor

    def __init__(self, dims: int, config: DensityConfig) -> None:
        super().__init__()
        self.kernel = config.density == "kernel"
        mixture = max(1, min(config.components, COVARIANCES // dims**2))
        count = {"gaussian": 1, "mixture": mixture, "kernel": KERNELS}[config.density]
        self.register_buffer("weights", torch.full((count,), 1 / count))
        self.register_buffer("means", torch.zeros(count, dims))
        self.register_buffer("scales", torch.ones(()) if self.kernel else torch.eye(dims).repeat(count, 1, 1))

    def distribution(self) -> Distribution:
        """p(z), over `(dims,)`."""
        if self.kernel:
            return KernelDensity(self.weights, self.means, self.scales)
        which = Categorical(logits=self.weights.log(), validate_args=False)
        components = MultivariateNormal(self.means, scale_tril=self.scales, validate_args=False)
        return MixtureSameFamily(which, components, validate_args=False)

    @torch.no_grad()
    def fit(self, codes: Tensor) -> None:
        """Fit to codes `(n, dims)`.

        Raises:
            ValueError: they are not finite, or fewer than two.
        """
        if len(codes) < 2:
            raise ValueError(f"a density of codes needs 2 of them at least, these are {len(codes)}")
        if not bool(torch.isfinite(codes).all()):
            raise ValueError("no density can be fitted to codes that are not finite")
        z = codes.double()
        weights, means, scales = self._kernels(z[:KERNELS]) if self.kernel else self._mixture(z.cpu().numpy())
        used = len(weights)
        self.weights.zero_()
        self.weights[:used] = weights
        filled = torch.arange(len(self.weights)) % used  # what has no weight must still be a Gaussian
        self.means.copy_(means[filled])
        self.scales.copy_(scales if self.kernel else scales[filled])

    def _mixture(self, z: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, means and covariances' Cholesky factors of the Gaussians in use."""
        mixture = GaussianMixture(
            max(1, min(len(self.weights), len(z) // (SUPPORT * z.shape[1]))),
            reg_covar=MIN_VARIANCE * max(float(z.var(0).mean()), MIN_SPREAD**2),
            tol=EM_GAIN,
            max_iter=EM_STEPS,
            random_state=0,
        )
        with one_thread(), warnings.catch_warnings():
            # fewer distinct codes than Gaussians, or steps left to take, do no harm
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(z)
        scales = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))
        return torch.from_numpy(mixture.weights_), torch.from_numpy(mixture.means_), scales

    def _kernels(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, centres and width of the kernels: the width under which each code is likeliest given the others
        (Duin 1976)."""
        spread = max(float(z.var(0, correction=0).mean().sqrt()), MIN_SPREAD)
        squares = torch.cdist(z, z).square().fill_diagonal_(torch.inf)

        def score(width: float) -> float:
            return float((squares / (-2 * width**2)).logsumexp(1).mean()) - z.shape[1] * math.log(width)

        width = max((spread * width for width in WIDTHS), key=score)
        return z.new_full((len(z),), 1 / len(z)), z, z.new_tensor(width)


class KernelDensity(Distribution):
    """A mixture of N(centre, width² I) over `centres` `(n, d)` with `weights` `(n,)`.

    The same as a `MixtureSameFamily`, which would draw from every component for each sample, and hold n numbers per
    dimension of each code that is scored.
    """

    arg_constraints = {}  # noqa: RUF012  # as torch declares it

    def __init__(self, weights: Tensor, centres: Tensor, width: Tensor) -> None:
        super().__init__(event_shape=centres.shape[1:], validate_args=False)
        self.weights, self.centres, self.width = weights, centres, width

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        centres = self.centres[self.weights.multinomial(math.prod(sample_shape), replacement=True)]
        z = centres + self.width * torch.randn_like(centres)
        return z.view(*sample_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of codes `(..., d)`, `(...)`, in nats."""
        # differences, not products: nothing cancels
        distance = torch.cdist(value, self.centres, compute_mode="donot_use_mm_for_euclid_dist") / self.width
        log_kernels = -0.5 * distance.square() + self.weights.log()
        dims = self.centres.shape[1]
        return log_kernels.logsumexp(-1) - dims * (self.width.log() + 0.5 * math.log(2 * math.pi))


class SampledCodes(Sampler, Decoder, Encoder):
    """A model whose codes have a density, `density`, that is fitted to training codes when training has ended.

    To stand before `Model` among the bases, as `finish` is this one's.
    """

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

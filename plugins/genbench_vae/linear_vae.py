"""The linear variational autoencoder (Lucas, Tucker, Grosse & Norouzi 2019)."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from genbench.model import (
    Batch,
    DataSpec,
    Decoder,
    DiscretizedGaussian,
    Encoder,
    Gaussian,
    GradientConfig,
    GradientModel,
    LatentBound,
    Observation,
    Posterior,
    Reconstructor,
    Sampler,
    bin_centres,
    dequantize,
    log_volume,
    standard_normal,
)
from genbench_vae.gaussian import MAX_LOG_STD, MIN_LOG_STD, standard_like

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class LinearVAE(GradientModel, Sampler, LatentBound, Decoder, Posterior, Encoder, Reconstructor):
    """p(u|z) = N(Wz + m, s²I) with z ~ N(0, I), the model of probabilistic PCA, and q(z|u) = N(V(u - m), D) with a
    diagonal D that is the same for all points (Lucas et al. 2019, section 4).

    At its maximum the ELBO equals the log-likelihood of probabilistic PCA, and the columns of W are principal axes,
    scaled; it has no other local maximum. As all is linear, the loss has the expectations over z in closed form.

    Binary and discrete data is dequantised: u is uniform in a level's bin, drawn anew whenever it is asked for, and a
    density over u is a bound on the probability of the levels (Theis et al. 2016). So `log_weights` has draws of u as
    well as of z, and the mean weight is the probability of the bin, ∫ p(u) du. Samples beyond the outermost bins are
    clipped into them, and `observation` has that likelihood of the levels themselves, which is a little higher.
    """

    class Config(GradientConfig):
        """Options of `linear_vae`."""

        learning_rate: float = Field(5e-2, gt=0, description="Adam's step size at its largest")
        latent_dim: int = Field(16, ge=1, description="size of the code")

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        self.mean = nn.Parameter(torch.zeros(data.dims))
        self.encoder = nn.Linear(data.dims, config.latent_dim, bias=False)
        self.decoder = nn.Linear(config.latent_dim, data.dims, bias=False)
        self.log_std = nn.Parameter(torch.zeros(config.latent_dim))
        self.log_noise = nn.Parameter(torch.zeros(()))

    def setup(self, batch: Batch) -> None:
        u = self._dequantized(batch.x)
        with torch.no_grad():
            self.mean.copy_(u.mean(0))
            self.log_noise.copy_((u - self.mean).square().mean().sqrt().log())

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        u = self._dequantized(batch.x)
        q = self._posterior(u)
        error = (u - self._expand(q.mean)).square().sum(1).mean()
        spread = (self.decoder.weight.square() * self._std().square()).sum()
        log_noise = self._log_noise()
        nll = 0.5 * (error + spread) * torch.exp(-2 * log_noise) + self.data.dims * (log_noise + HALF_LOG_2PI)
        nll = nll + log_volume(self.data)
        kl = kl_divergence(q, standard_like(q)).sum(1).mean()
        return {"loss": nll + kl, "nll": nll, "kl": kl}

    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        u = self._dequantized(x.expand(k, *x.shape).flatten(0, 1))
        q = Independent(self._posterior(u), 1)
        z = q.rsample()
        log_p = Gaussian(self._expand(z), self._log_noise()).log_prob(u) + self.prior().log_prob(z)
        return (log_p - q.log_prob(z)).view(k, len(x)) - log_volume(self.data)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        return self.observation(self.prior().sample((n,))).sample()

    def prior(self) -> Distribution:
        return standard_normal(self.config.latent_dim, self.mean)

    def observation(self, z: Tensor) -> Observation:
        """p(x|z): of discrete data, the mass of p(u|z) in each level's bin."""
        levels = self.data.levels
        if levels is None:
            return Gaussian(self.decode(z), self._log_noise())
        return DiscretizedGaussian(self.decode(z), self._log_noise().exp() * levels / (levels - 1), levels)

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(u|z), as data is presented."""
        u = self._expand(z)
        levels = self.data.levels
        return (u if levels is None else (u * levels - 0.5) / (levels - 1)).view(len(z), *self.data.shape)

    def encode(self, x: Tensor) -> Tensor:
        """The posterior's mean, at the centres of discrete data's bins."""
        levels = self.data.levels
        return self._posterior((x if levels is None else bin_centres(x, levels)).flatten(1)).mean

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> list[tuple[Normal, Normal]]:
        """q(z|u) and p(z), for one draw of u for each point of discrete data."""
        q = self._posterior(self._dequantized(x))
        return [(q, standard_like(q))]

    def _posterior(self, u: Tensor) -> Normal:
        # shared between as many inputs, a step of Adam's moves a code equally far for data of any size
        mean = self.encoder((u - self.mean) / math.sqrt(self.data.dims))
        mean = mean.to(torch.promote_types(mean.dtype, torch.float32))
        return Normal(mean, self._std().expand_as(mean), validate_args=False)

    def _expand(self, z: Tensor) -> Tensor:
        """Wz + m, `(B, D)`."""
        return self.decoder(z) + self.mean

    def _std(self) -> Tensor:
        return self.log_std.clamp(MIN_LOG_STD, MAX_LOG_STD).exp()

    def _log_noise(self) -> Tensor:
        return self.log_noise.clamp(MIN_LOG_STD, MAX_LOG_STD)

    def _dequantized(self, x: Tensor) -> Tensor:
        """u, `(B, D)`."""
        return (x if self.data.levels is None else dequantize(x, self.data.levels)).flatten(1)

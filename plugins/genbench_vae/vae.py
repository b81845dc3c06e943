"""The variational autoencoder (Kingma & Welling 2014)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from genbench.model import (
    Batch,
    DataSpec,
    Decoder,
    Encoder,
    GradientConfig,
    GradientModel,
    LatentBound,
    Likelihood,
    Network,
    Observation,
    Posterior,
    Reconstructor,
    Sampler,
    autoencoder,
    observe,
    parameter_channels,
    standard_normal,
)
from genbench_vae.gaussian import gaussian, standard_like, warm_up
from genbench_vae.marginal import marginal_parameters


class VAE(GradientModel, Sampler, LatentBound, Decoder, Posterior, Encoder, Reconstructor):
    """p(x) = ∫ p(x|z) N(z; 0, I) dz with q(z|x) = N(m(x), diag s(x)²), and p(x|z) as suits the data's kind.

    The loss is -E_q[log p(x|z)] + beta KL(q(z|x) || N(0, I)), with one draw of z and the divergence in closed form
    (Kingma & Welling 2014, equation 10; beta is that of Higgins et al. 2017). A warm-up raises the divergence's weight
    from 0 over the first part of the budget (Sønderby et al. 2016). The decoder's output adds to parameters per
    dimension that start at the data's own mean and spread.

    Raises:
        UnsupportedData: `network="conv"` was asked for vectors, or a likelihood that is none for such data.
    """

    class Config(GradientConfig):
        """Options of `vae`."""

        learning_rate: float = Field(2e-3, gt=0, description="Adam's step size at its largest")
        latent_dim: int = Field(16, ge=1, description="size of the code")
        network: Network = Field("auto", description="convolutional, fully connected, or as suits the data's shape")
        width: int = Field(32, ge=1, description="channels of the first convolution; the second has twice as many")
        hidden: int = Field(512, ge=1, description="units of each fully connected hidden layer (network=mlp)")
        likelihood: Likelihood = Field("auto", description="p(x|z), or that which suits the data's kind")
        std: float | None = Field(
            None, gt=0, description="the Gaussian's standard deviation (likelihood=gaussian); learnt by default"
        )
        dropout: float = Field(0.1, ge=0, lt=1, description="share of hidden units that are dropped in training")
        beta: float = Field(1.0, ge=0, description="weight of the divergence from the prior in the loss")
        warmup: float = Field(0.0, ge=0, le=1, description="share of the budget over which that weight rises from 0")

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        multiplier = parameter_channels(data, config.likelihood, config.std)
        self.encoder, self.decoder = autoencoder(
            data,
            config.network,
            features=2 * config.latent_dim,
            latent_dim=config.latent_dim,
            multiplier=multiplier,
            width=config.width,
            hidden=(config.hidden, config.hidden),
            dropout=config.dropout,
        )
        self.marginal = nn.Parameter(torch.zeros(multiplier * data.shape[0], *data.shape[1:]))

    def setup(self, batch: Batch) -> None:
        with torch.no_grad():
            self.marginal.copy_(marginal_parameters(self.data, batch.x, self.config.likelihood, self.config.std))

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        [(q, p)] = self.posterior(batch.x)
        nll = -self.observation(q.rsample()).log_prob(batch.x).mean()
        kl = kl_divergence(q, p).sum(1).mean()
        return {"loss": nll + self.beta * warm_up(progress, self.config.warmup) * kl, "nll": nll, "kl": kl}

    @property
    def beta(self) -> float:
        """The divergence's weight when warm-up is over."""
        return self.config.beta

    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        q = Independent(self.posterior(x)[0][0], 1)
        z = q.rsample((k,))
        copies = x.expand(k, *x.shape).flatten(0, 1)
        log_likelihood = self.observation(z.flatten(0, 1)).log_prob(copies).view(k, len(x))
        return log_likelihood + self.prior().log_prob(z) - q.log_prob(z)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        return self.observation(self.prior().sample((n,))).sample()

    def prior(self) -> Distribution:
        return standard_normal(self.config.latent_dim, self.marginal)

    def observation(self, z: Tensor) -> Observation:
        return observe(self.data, self.decoder(z) + self.marginal, self.config.likelihood, self.config.std)

    def decode(self, z: Tensor) -> Tensor:
        return self.observation(z).mean

    def encode(self, x: Tensor) -> Tensor:
        """The posterior's mean m(x)."""
        return self.posterior(x)[0][0].mean

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> list[tuple[Normal, Normal]]:
        q = gaussian(self.encoder(x))
        return [(q, standard_like(q))]

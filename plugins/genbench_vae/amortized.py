"""A Gaussian code of one level with a network for q(z|x) and one for p(x|z): all but the objective."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from genbench.model import (
    Batch,
    DataSpec,
    Decoder,
    Encoder,
    GradientConfig,
    GradientModel,
    LatentBound,
    Likelihood,
    NetworkConfig,
    Observation,
    Posterior,
    Reconstructor,
    Sampler,
    autoencoder,
    observe,
    parameter_channels,
    standard_normal,
)
from genbench_vae.gaussian import gaussian, standard_like
from genbench_vae.marginal import marginal_parameters


class AmortizedConfig(GradientConfig, NetworkConfig):
    """Options of every model whose q(z|x) and p(x|z) are networks."""

    learning_rate: float = Field(2e-3, gt=0, description="Adam's step size at its largest")
    latent_dim: int = Field(16, ge=1, description="size of the code")
    hidden: int = Field(512, ge=1, description="units of each fully connected hidden layer (network=mlp)")
    likelihood: Likelihood = Field("auto", description="p(x|z), or that which suits the data's kind")
    std: float | None = Field(
        None, ge=1e-3, description="the Gaussian's standard deviation (likelihood=gaussian); learnt by default"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="share of hidden units that are dropped in training")


class AmortizedModel(GradientModel, Sampler, LatentBound, Decoder, Posterior, Encoder, Reconstructor):
    """p(x) = ∫ p(x|z) N(z; 0, I) dz with q(z|x) = N(m(x), diag s(x)²), and p(x|z) as suits the data's kind
    (Kingma & Welling 2014, section 3). A subclass has the objective.

    The decoder's output adds to parameters per dimension that start at the data's own mean and spread.

    Raises:
        UnsupportedData: `network="conv"` was asked for vectors, or a likelihood that is none for such data.
    """

    Config = AmortizedConfig
    config: AmortizedConfig

    def __init__(self, data: DataSpec, config: AmortizedConfig, features: int | None = None) -> None:
        """`features`: numbers per data point that the encoder returns; by default m(x) and log s(x)."""
        super().__init__(data, config)
        multiplier = parameter_channels(data, config.likelihood, config.std)
        self.encoder, self.decoder = autoencoder(
            data,
            config.architecture,
            features=2 * config.latent_dim if features is None else features,
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

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z), `(k, B)` in nats, of points `(B, *shape)` and k codes for each, `(k, B, d)`, decoded in one
        batch."""
        copies = x.expand(len(z), *x.shape).flatten(0, 1)
        log_likelihood = self.observation(z.flatten(0, 1)).log_prob(copies).view(len(z), len(x))
        return log_likelihood + self.prior().log_prob(z)

    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        q = Independent(self.posterior(x)[0][0], 1)
        z = q.rsample((k,))
        return self.log_joint(x, z) - q.log_prob(z)

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

"""What VAEs of labelled data share: p(x|z, y) and q(z|x, y), both of which are given the label."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from genbench.model import (
    Batch,
    DataSpec,
    GradientModel,
    LatentBound,
    Observation,
    Sampler,
    UnsupportedData,
    autoencoder,
    mlp,
    observe,
    parameter_channels,
)
from genbench_vae.gaussian import gaussian
from genbench_vae.marginal import marginal_parameters
from genbench_vae.vae import VAE

#: Numbers that the encoder makes of a data point before it is told the label.
FEATURES = 128


class LabelledVAE(GradientModel, Sampler, LatentBound):
    """p(x|y) = ∫ p(x|z, y) p(z|y) dz with q(z|x, y) = N(m(x, y), diag s(x, y)²).

    The label enters both networks as a one-hot vector: the decoder beside the code, and the encoder beside features of
    x, ahead of one more hidden layer, so that the features serve all labels.

    Attributes:
        features: x `(B, *shape)` to `(B, FEATURES)`.
        head: features and label, `(B, FEATURES + classes)`, to the parameters of q, `(B, 2*latent_dim)`.
        decoder: code and label, `(B, latent_dim + classes)`, to the parameters of p(x|z, y).

    Raises:
        UnsupportedData: (by `check_data`) the data has no labels.
    """

    Config = VAE.Config
    config: VAE.Config

    def __init__(self, data: DataSpec, config: VAE.Config) -> None:
        super().__init__(data, config)
        self.classes = data.num_classes or 0
        multiplier = parameter_channels(data, config.likelihood, config.std)
        self.features, self.decoder = autoencoder(
            data,
            config.architecture,
            features=FEATURES,
            latent_dim=config.latent_dim + self.classes,
            multiplier=multiplier,
            width=config.width,
            hidden=(config.hidden, config.hidden),
            dropout=config.dropout,
        )
        sizes = (FEATURES + self.classes, FEATURES, 2 * config.latent_dim)
        self.head = mlp(sizes, dropout=config.dropout)
        self.marginal = nn.Parameter(torch.zeros(multiplier * data.shape[0], *data.shape[1:]))

    @classmethod
    def check_data(cls, data: DataSpec) -> None:
        super().check_data(data)
        if data.num_classes is None:
            raise UnsupportedData("needs data with class labels, this has none")

    def setup(self, batch: Batch) -> None:
        with torch.no_grad():
            self.marginal.copy_(marginal_parameters(self.data, batch.x, self.config.likelihood, self.config.std))

    def prior(self, y: Tensor) -> Normal:
        """p(z|y) for labels `(B,)`, over `(B, latent_dim)`: N(0, 1), whatever the label."""
        return gaussian(self.marginal.new_zeros(len(y), 2 * self.config.latent_dim))

    def infer(self, features: Tensor, y: Tensor) -> Normal:
        """q(z|x, y) over `(B, latent_dim)` for points of these `features` and labels."""
        return gaussian(self.head(self.beside(features, y)))

    def observation(self, z: Tensor, y: Tensor) -> Observation:
        """p(x|z, y)."""
        parameters = self.decoder(self.beside(z, y)) + self.marginal
        return observe(self.data, parameters, self.config.likelihood, self.config.std)

    def beside(self, values: Tensor, y: Tensor) -> Tensor:
        """`values` `(B, d)` and one-hot labels side by side, `(B, d + classes)`."""
        return torch.cat([values, F.one_hot(y, self.classes).to(values.dtype)], dim=1)

    def conditional_weights(self, x: Tensor, k: int, y: Tensor, features: Tensor) -> Tensor:
        """log p(x, z|y) - log q(z|x, y) for `k` draws of z, `(k, B)`, in nats."""
        q, p = self.infer(features, y), self.prior(y)
        z = q.rsample((k,))
        copies = x.expand(k, *x.shape).flatten(0, 1)
        log_likelihood = self.observation(z.flatten(0, 1), y.repeat(k)).log_prob(copies).view(k, len(x))
        return log_likelihood + p.log_prob(z).sum(2) - q.log_prob(z).sum(2)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws of z ~ p(z|y) and x ~ p(x|z, y); without labels, of y from all of them alike."""
        if y is None:
            y = torch.randint(self.classes, (n,), device=self.marginal.device)
        return self.observation(self.prior(y).sample(), y).sample()

"""The conditional variational autoencoder (Sohn, Lee & Yan 2015), of data given its class."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from genbench.model import Batch, Conditional, DataSpec, Posterior
from genbench_vae.gaussian import gaussian, warm_up
from genbench_vae.labels import LabelledVAE
from genbench_vae.vae import VAE


class CVAE(LabelledVAE, Conditional, Posterior):
    """p(x|y) = ∫ p(x|z, y) p(z|y) dz with q(z|x, y), where p(z|y) is N(0, I), or a Gaussian that depends on y.

    The loss is -E_q[log p(x|z, y)] + beta KL(q(z|x, y) || p(z|y)) (equation 4), with one draw of z and the divergence
    from that same prior in closed form. The prior network is the most general one of a discrete label, a mean and a
    log standard deviation for each; its outputs are 0 at first, which is N(0, I). New data is made from the
    prior, never from q, which is for training and for bounds.

    Codes can be neither found nor decoded without a label, so it is no `Encoder`, `Reconstructor` or `Decoder`.

    Raises:
        UnsupportedData: (by `check_data`) the data has no labels.
    """

    class Config(VAE.Config):
        """Options of `cvae`."""

        prior: Literal["independent", "label"] = Field(
            "independent", description="p(z|y): the same for all labels, or a Gaussian that each label has of its own"
        )

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        self.prior_network = None
        if config.prior == "label":
            self.prior_network = nn.Embedding(self.classes, 2 * config.latent_dim)
            nn.init.zeros_(self.prior_network.weight)

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        y = _needed(batch.y)
        [(q, p)] = self.posterior(batch.x, y)
        nll = -self.observation(q.rsample(), y).log_prob(batch.x).mean()
        kl = kl_divergence(q, p).sum(1).mean()
        return {"loss": nll + self.config.beta * warm_up(progress, self.config.warmup) * kl, "nll": nll, "kl": kl}

    def prior(self, y: Tensor) -> Normal:
        """p(z|y) for labels `(B,)`, over `(B, latent_dim)`."""
        return super().prior(y) if self.prior_network is None else gaussian(self.prior_network(y))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> list[tuple[Normal, Normal]]:
        """q(z|x, y) and p(z|y).

        Raises:
            ValueError: there are no labels.
        """
        y = _needed(y)
        return [(self.infer(self.features(x), y), self.prior(y))]

    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        """log p(x, z|y) - log q(z|x, y) for `k` draws of z, `(k, B)`, in nats.

        Raises:
            ValueError: there are no labels.
        """
        return self.conditional_weights(x, k, _needed(y), self.features(x))


def _needed(y: Tensor | None) -> Tensor:
    if y is None:
        raise ValueError("a conditional VAE needs the labels of its data points")
    return y

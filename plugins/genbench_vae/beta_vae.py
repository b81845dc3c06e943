"""The beta-VAE (Higgins et al. 2017)."""

from __future__ import annotations

from pydantic import Field

from genbench_vae.vae import VAE


class BetaVAE(VAE):
    """A `VAE` whose divergence from the prior weighs beta times as much as in the ELBO.

    The loss is -E_q[log p(x|z)] + beta KL(q(z|x) || N(0, I)), both summed over dimensions and in nats. The weight means
    the more the fewer dimensions the data has for each of the code's, so Higgins et al. compare data sets by
    beta_norm = beta M/N, where the code has M dimensions and the data N. With `normalised` the option `beta` is that
    beta_norm, and the loss has the weight beta_norm N/M.

    beta = 1 without `normalised` is the VAE. The best weights are chosen by the loss, beta included.
    """

    class Config(VAE.Config):
        """Options of `beta_vae`."""

        beta: float = Field(4.0, ge=0, description="weight of the divergence from the prior in the loss")
        normalised: bool = Field(
            False, description="whether beta is given per code dimension and data dimension: beta_norm = weight M/N"
        )

    config: Config

    @property
    def beta(self) -> float:
        if self.config.normalised:
            return self.config.beta * self.data.dims / self.config.latent_dim
        return self.config.beta

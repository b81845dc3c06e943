"""The variational autoencoder (Kingma & Welling 2014)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.distributions import kl_divergence

from genbench.model import Batch
from genbench_vae.amortized import AmortizedConfig, AmortizedModel
from genbench_vae.gaussian import warm_up


class VAE(AmortizedModel):
    """p(x) = ∫ p(x|z) N(z; 0, I) dz with q(z|x) = N(m(x), diag s(x)²), and p(x|z) as suits the data's kind.

    The loss is -E_q[log p(x|z)] + beta KL(q(z|x) || N(0, I)), with one draw of z and the divergence in closed form
    (Kingma & Welling 2014, equation 10; beta is that of Higgins et al. 2017). A warm-up raises the divergence's weight
    from 0 over the first part of the budget (Sønderby et al. 2016). The best weights are chosen by this loss with beta
    and without warm-up; a likelihood is measured without either.

    Raises:
        UnsupportedData: `network="conv"` was asked for vectors, or a likelihood that is none for such data.
    """

    class Config(AmortizedConfig):
        """Options of `vae`."""

        beta: float = Field(1.0, ge=0, description="weight of the divergence from the prior in the loss")
        warmup: float = Field(0.0, ge=0, le=1, description="share of the budget over which that weight rises from 0")

    config: Config

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        [(q, p)] = self.posterior(batch.x)
        nll = -self.observation(q.rsample()).log_prob(batch.x).mean()
        kl = kl_divergence(q, p).sum(1).mean()
        return {"loss": nll + self.beta * warm_up(progress, self.config.warmup) * kl, "nll": nll, "kl": kl}

    @property
    def beta(self) -> float:
        """The divergence's weight when warm-up is over."""
        return self.config.beta

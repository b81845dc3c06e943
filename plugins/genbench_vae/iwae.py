"""The importance-weighted autoencoder (Burda, Grosse & Salakhutdinov 2016)."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.distributions import Independent, Normal

from genbench.model import Batch
from genbench_vae.amortized import AmortizedConfig, AmortizedModel


class IWAE(AmortizedModel):
    """A VAE's networks, trained on the bound of K samples, L_K = E[log 1/K Σ_i w_i] with w_i = p(x, z_i)/q(z_i|x) and
    z_i ~ q(z|x), which rises with K to log p(x) (Burda et al. 2016, theorem 1).

    L_1 is the ELBO with the divergence estimated by log q(z|x) - log p(z) at the draw that the likelihood is taken at.
    The `vae` has the divergence in closed form: for K = 1 its loss and the gradients of it have the expectations of
    those here, not their values.

    The plain gradient is that of log 1/K Σ_i w_i. As K grows, noise drowns what it tells the encoder (Rainforth et al.
    2018), as the encoder also moves the density q by which each z_i is weighed. The doubly reparameterised gradient
    (Tucker et al. 2019) has the same expectation without that noise: the encoder's is Σ_i v_i² ∂log w_i/∂z_i ∂z_i/∂phi
    with v_i = w_i / Σ_j w_j, the decoder's the plain one. What is reported, and chosen by, is -L_K itself in either
    case.

    Raises:
        UnsupportedData: `network="conv"` was asked for vectors, or a likelihood that is none for such data.
    """

    class Config(AmortizedConfig):
        """Options of `iwae`."""

        k: int = Field(5, ge=1, description="samples of the code in the bound that is trained on")
        gradient: Literal["plain", "doubly-reparameterised"] = Field(
            "plain", description="which unbiased gradient of the bound the encoder gets"
        )

    config: Config

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        [(q, _)] = self.posterior(batch.x)
        z = q.rsample((self.config.k,))
        if self.config.gradient == "doubly-reparameterised":
            q = Normal(q.mean.detach(), q.stddev.detach(), validate_args=False)
        log_w = self.log_joint(batch.x, z) - Independent(q, 1).log_prob(z)
        if self.config.gradient == "doubly-reparameterised" and z.requires_grad:
            # the bound's own gradient has v_i once
            v = log_w.detach().softmax(0)[:, :, None]
            z.register_hook(lambda gradient: v * gradient)
        bound = log_w.logsumexp(0) - math.log(self.config.k)
        return {"loss": -bound.mean(), "elbo": log_w.mean()}

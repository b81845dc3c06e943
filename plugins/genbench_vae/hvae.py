"""The hierarchical VAE whose posterior goes upwards (Rezende et al. 2014; Burda et al. 2016)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from genbench.model import DataSpec
from genbench_vae.gaussian import gaussian, standard_like
from genbench_vae.levels import HierarchicalVAE, Level, LevelsConfig


class HVAE(HierarchicalVAE):
    """q(z|x) = q(z_1|x) q(z_2|z_1) ... q(z_L|z_{L-1}), a Gaussian network at every level (Burda et al. 2016,
    equations 1 and 2). One level is the VAE.

    The divergence of the top level is in closed form. That of any other is log q - log p at the draw: z_{l+1} was drawn
    given z_l, whereas KL(q(z_l|z_{l-1}) || p(z_l|z_{l+1})) would compare it with another z_l. So that of one level may
    be negative, where the level above tells more of it than the one beneath; the sum over levels may not, on average.
    """

    class Config(LevelsConfig):
        """Options of `hvae`."""

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config, features=2 * config.latent_dim)
        self.posteriors = nn.ModuleList(self.between(size, 2 * above) for size, above in itertools.pairwise(self.sizes))

    def climb(self, x: Tensor) -> list[Tensor]:
        """m(x) and log s(x) of the first level."""
        return [self.encoder(x)]

    def infer(self, risen: Sequence[Tensor], draw: Callable[[Normal], Tensor]) -> list[Level]:
        q = [gaussian(risen[0])]
        z = [draw(q[0])]
        for network in self.posteriors:
            q.append(gaussian(network(z[-1])))
            z.append(draw(q[-1]))
        p = [*(self.generate(level, above) for level, above in enumerate(z[1:])), standard_like(q[-1])]
        return [Level(*each) for each in zip(reversed(q), reversed(p), reversed(z), strict=True)]

    def divergences(self, levels: Sequence[Level]) -> list[Tensor]:
        top, *others = levels
        return [kl_divergence(top.q, top.p), *(q.log_prob(z) - p.log_prob(z) for q, p, z in others)]

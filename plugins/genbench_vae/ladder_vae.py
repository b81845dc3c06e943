"""The ladder VAE (Sønderby et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.distributions import Normal

from genbench.model import DataSpec
from genbench_vae.gaussian import gaussian, standard_like
from genbench_vae.levels import HierarchicalVAE, Level, LevelsConfig


class LadderVAE(HierarchicalVAE):
    """q(z|x) = q(z_L|x) q(z_{L-1}|x, z_L) ... q(z_1|x, z_2), in the order of the generative model.

    A deterministic pass upwards gives each level its own N(m, s²); on the way down it is merged with p(z_l|z_{l+1}),
    each weighing as much as its precision (Sønderby et al. 2016, equations 17 to 19). At the top it stands alone, so
    that one level is the VAE. Every divergence is in closed form, given the draw of the level above.
    """

    class Config(LevelsConfig):
        """Options of `ladder_vae`."""

        batch_norm: bool = Field(True, description="normalise hidden units between levels, as the authors do")

        @model_validator(mode="after")
        def _enough_to_normalise(self) -> LadderVAE.Config:
            if self.batch_norm and self.levels > 1 and self.batch_size == 1:
                raise ValueError("batch_norm needs a batch_size of at least 2")
            return self

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        hidden = config.level_hidden
        rising = [2 * size + hidden for size in config.sizes[:-1]] + [2 * config.sizes[-1]]
        super().__init__(data, config, features=rising[0])
        self.stages = nn.ModuleList(
            nn.Sequential(*self.activation(), self.between(hidden, features)) for features in rising[1:]
        )

    def between(self, fan_in: int, fan_out: int) -> nn.Module:
        hidden = self.config.level_hidden
        return nn.Sequential(nn.Linear(fan_in, hidden), *self.activation(), nn.Linear(hidden, fan_out))

    def activation(self) -> list[nn.Module]:
        """Of the hidden units between levels, with batch normalisation ahead of it."""
        return [*([nn.BatchNorm1d(self.config.level_hidden)] if self.config.batch_norm else []), nn.SiLU()]

    def climb(self, x: Tensor) -> list[Tensor]:
        """m(x) and log s(x) of each level, from the data up."""
        output, risen = self.encoder(x), []
        for size, stage in zip(self.sizes[:-1], self.stages, strict=True):
            own, rising = output.split([2 * size, self.config.level_hidden], dim=1)
            risen.append(own)
            output = stage(rising)
        return [*risen, output]

    def infer(self, risen: Sequence[Tensor], draw: Callable[[Normal], Tensor]) -> list[Level]:
        q = gaussian(risen[-1])
        levels = [Level(q, standard_like(q), draw(q))]
        for level in reversed(range(len(self.priors))):
            p = self.generate(level, levels[-1].z)
            q = merged(gaussian(risen[level]), p)
            levels.append(Level(q, p, draw(q)))
        return levels


def merged(a: Normal, b: Normal) -> Normal:
    """The normalised product of two Gaussian densities: precisions add up, and means weigh as much as their precision
    (Sønderby et al. 2016, equations 17 and 18)."""
    precision_a, precision_b = a.stddev**-2, b.stddev**-2
    precision = precision_a + precision_b
    mean = (a.mean * precision_a + b.mean * precision_b) / precision
    return Normal(mean, precision**-0.5, validate_args=False)

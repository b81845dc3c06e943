"""What VAEs of several levels of codes share: the way down from the top level to the data, and all that is measured."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from genbench.model import Batch, DataSpec, Observation, standard_normal
from genbench_vae.amortized import AmortizedConfig, AmortizedModel
from genbench_vae.gaussian import gaussian, warm_up


class Level(NamedTuple):
    """One level's variables: q and p of each, and what was drawn from q, `(n, d)` each."""

    q: Normal
    p: Normal
    z: Tensor


class LevelsConfig(AmortizedConfig):
    """Options that all these models have."""

    latent_dim: int = Field(16, ge=1, description="size of the code next to the data")
    levels: int = Field(2, ge=1, description="levels of codes")
    above: str | None = Field(
        None,
        pattern=r"^[1-9]\d*(-[1-9]\d*)*$",
        description="sizes of the codes of the levels above the first, from the data up (8-4); by default each is half "
        "as large as the one beneath it",
    )
    level_hidden: int = Field(128, ge=1, description="units of the hidden layer between two levels")
    warmup: float = Field(
        0.2, ge=0, le=1, description="share of the budget over which the divergence's weight rises from 0 to 1"
    )

    @model_validator(mode="after")
    def _as_many_sizes_as_levels(self) -> LevelsConfig:
        if self.above is not None and len(self.sizes) != self.levels:
            raise ValueError(f"above={self.above} makes {len(self.sizes)} levels with the first, levels={self.levels}")
        return self

    @property
    def sizes(self) -> tuple[int, ...]:
        """Size of each level's code, from the data up."""
        if self.above is None:
            return tuple(max(1, self.latent_dim >> level) for level in range(self.levels))
        return (self.latent_dim, *(int(size) for size in self.above.split("-")))


class HierarchicalVAE(AmortizedModel):
    """p(x, z) = p(x|z_1) p(z_1|z_2) ... p(z_L), a Gaussian network at every level and p(z_L) = N(0, I).

    Level 1 is next to the data. The loss is -E_q[log p(x|z_1)] + Σ_l KL_l (`kl_1`, `kl_2`, ...), and a warm-up raises
    the weight of the sum. A subclass has q.

    The code is that of the way down: with p(z_l|z_{l+1}) = N(m, s²) the noise of level l is (z_l - m) / s, and the code
    is the noise of all levels, the top one first, whose prior is N(0, I). A variable that the posterior ignores has the
    code 0.

    Raises:
        UnsupportedData: `network="conv"` was asked for vectors, or a likelihood that is none for such data.
    """

    Config = LevelsConfig
    config: LevelsConfig

    def __init__(self, data: DataSpec, config: LevelsConfig, features: int) -> None:
        super().__init__(data, config, features)
        self.sizes = config.sizes
        self.priors = nn.ModuleList(self.between(above, 2 * size) for size, above in itertools.pairwise(self.sizes))

    def between(self, fan_in: int, fan_out: int) -> nn.Module:
        """A network from one level to the next."""
        hidden = self.config.level_hidden
        return nn.Sequential(nn.Linear(fan_in, hidden), nn.SiLU(), nn.Linear(hidden, fan_out))

    @abstractmethod
    def climb(self, x: Tensor) -> list[Tensor]:
        """What inference computes before anything is drawn, `(B, d)` each."""

    @abstractmethod
    def infer(self, risen: Sequence[Tensor], draw: Callable[[Normal], Tensor]) -> list[Level]:
        """Every level, the top one first, from what `climb` returned; `draw` takes z from q."""

    def divergences(self, levels: Sequence[Level]) -> list[Tensor]:
        """For each level `(n, d)`, whose expectation over draws is E_q[log q - log p] of its variables."""
        return [kl_divergence(q, p) for q, p, _ in levels]

    def generate(self, level: int, above: Tensor) -> Normal:
        """p(z|above) of the level that is so many above the first, given the values of the one above it."""
        return gaussian(self.priors[level](above))

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        levels = self.draw(batch.x)
        nll = -self.given_first(levels[-1].z).log_prob(batch.x).mean()
        kls = [divergence.sum(1).mean() for divergence in reversed(self.divergences(levels))]
        kl = torch.stack(kls).sum()
        scalars = {"loss": nll + warm_up(progress, self.config.warmup) * kl, "nll": nll, "kl": kl}
        return scalars | {f"kl_{level}": each for level, each in enumerate(kls, start=1)}

    def draw(self, x: Tensor, k: int = 1) -> list[Level]:
        """Every level, the top one first, for k draws of z ~ q(z|x) of each point, `(k*B, d)`, draw by draw."""
        return self.infer([part.repeat(k, 1) for part in self.climb(x)], Normal.rsample)

    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        levels = self.draw(x, k)
        copies = x.expand(k, *x.shape).flatten(0, 1)
        log_weights = self.given_first(levels[-1].z).log_prob(copies)
        for q, p, z in levels:
            log_weights = log_weights + (p.log_prob(z) - q.log_prob(z)).sum(1)
        return log_weights.view(k, len(x))

    def prior(self) -> Distribution:
        return standard_normal(sum(self.sizes), self.marginal)

    def observation(self, z: Tensor) -> Observation:
        """p(x|z_1), where z_1 is what the noise `z` of all levels makes on the way down."""
        value, *rest = z.split(self.sizes[::-1], dim=1)
        for level, noise in zip(reversed(range(len(self.priors))), rest, strict=True):
            p = self.generate(level, value)
            value = p.mean + p.stddev * noise
        return self.given_first(value)

    def given_first(self, z: Tensor) -> Observation:
        """p(x|z_1)."""
        return super().observation(z)

    def encode(self, x: Tensor) -> Tensor:
        """The noise of all levels, the top one first, at the posterior's means."""
        levels = self.infer(self.climb(x), lambda q: q.mean)
        return torch.cat([(z - p.mean) / p.stddev for _, p, z in levels], dim=1)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> list[tuple[Normal, Normal]]:
        return [(q, p) for q, p, _ in self.draw(x)]

    def divergence(self, x: Tensor, y: Tensor | None = None) -> list[Tensor]:
        return self.divergences(self.draw(x))

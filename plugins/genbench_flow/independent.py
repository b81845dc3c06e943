"""The trivial density baseline: every dimension on its own."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from genbench.model import Batch, DataSpec, Density, Gaussian, Model, ModelConfig, Sampler

#: Rows whose levels are counted at once, which bounds the memory of the integer copy.
CHUNK = 1024

#: A dimension that never varies gets this standard deviation.
MIN_DEVIATION = 1e-3


class Independent(Model, Sampler, Density):
    """log p(x) = sum_d log p_d(x_d), fitted in closed form in one update with the whole training split.

    On binary and discrete data p_d is the smoothed histogram of dimension d, (count + pseudo_count) /
    (n + levels pseudo_count), an exact probability. On continuous data p_d is the Gaussian of greatest likelihood.
    What a model gains over this one in bits/dim is what it knows about how dimensions depend on each other.
    The loss is the mean negative log-likelihood, in nats.
    """

    class Config(ModelConfig):
        """Options of `Independent`."""

        pseudo_count: float = Field(
            1.0, gt=0, description="added to every level's count in every histogram (1: Laplace's rule)"
        )

    config: Config
    log_p: Tensor
    mean: Tensor
    log_scale: Tensor

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        if data.levels is None:
            self.register_buffer("mean", torch.zeros(data.shape))
            self.register_buffer("log_scale", torch.zeros(data.shape))
        else:
            uniform = torch.full((data.dims, data.levels), 1.0 / data.levels)
            self.register_buffer("log_p", uniform.log())

    @torch.no_grad()
    def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        if self.data.levels is None:
            self.mean.copy_(batch.x.mean(0))
            self.log_scale.copy_(batch.x.std(0, correction=0).clamp_min(MIN_DEVIATION).log())
        else:
            counts = self._counts(batch.x) + self.config.pseudo_count
            self.log_p.copy_((counts / counts.sum(1, keepdim=True)).log())
        self.done = True
        return {"loss": -torch.cat([self.log_prob(part) for part in batch.x.split(CHUNK)]).mean()}

    def validation_loss(self, batch: Batch) -> Tensor | None:
        return -self.log_prob(batch.x).mean()

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if self.data.levels is None:
            return Gaussian(self.mean, self.log_scale).log_prob(x)
        return self.log_p.expand(len(x), -1, -1).gather(2, self._levels(x)[:, :, None]).flatten(1).sum(1)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        if self.data.levels is None:
            return Gaussian(self.mean.expand(n, *self.data.shape), self.log_scale).sample()
        levels = torch.multinomial(self.log_p.exp(), n, replacement=True).T
        return levels.reshape(n, *self.data.shape) / (self.data.levels - 1)

    def _levels(self, x: Tensor) -> Tensor:
        """The integer levels of `x`, `(B, dims)`."""
        assert self.data.levels is not None  # asked for binary and discrete data only
        return torch.round(x.flatten(1) * (self.data.levels - 1)).long()

    def _counts(self, x: Tensor) -> Tensor:
        """How often each level occurs in each dimension, `(dims, levels)`, float64: exact for any number of rows."""
        dims, levels = self.log_p.shape
        offset = levels * torch.arange(dims, device=x.device)
        counts = torch.zeros(dims * levels, dtype=torch.float64, device=x.device)
        for part in x.split(CHUNK):
            counts += torch.bincount((self._levels(part) + offset).flatten(), minlength=dims * levels)
        return counts.reshape(dims, levels)

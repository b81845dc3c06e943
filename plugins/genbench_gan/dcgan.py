"""DCGAN (Radford, Metz & Chintala 2016), with the non-saturating loss of Goodfellow et al. (2014)."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from genbench.model import (
    Batch,
    DataSpec,
    Decoder,
    Model,
    ModelConfig,
    Sampler,
    UnsupportedData,
    adam,
    cosine,
    set_learning_rate,
    snap,
    standard_normal,
)

#: Slope of the discriminator's activations below zero (Radford et al. 2016, section 3).
SLOPE = 0.2


class DCGAN(Model, Sampler, Decoder):
    """A generator x = G(z), z ~ N(0, I), against a discriminator D that gives the logit of "x is data".

    D descends E softplus(-D(x)) + E softplus(D(G(z))), G descends E softplus(-D(G(z))) (Goodfellow et al. 2014,
    section 3): one step of each per update, the same samples in both. Data and samples pass the discriminator's batch
    normalisation apart. Samples are rounded to the data's levels, the gradient passing straight through, so that
    values between levels do not give them away. Sampling uses a moving average of the generator's weights.

    There is no validation objective: a GAN's losses do not measure how good it is.
    """

    class Config(ModelConfig):
        """Options of `dcgan`."""

        batch_size: int = Field(64, ge=2, description="data points per update, and as many samples")
        learning_rate: float = Field(5e-4, gt=0, description="Adam's step size for both networks at its largest")
        beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the mean gradient")
        latent_dim: int = Field(64, ge=1, description="dimensions of z")
        width: int = Field(32, ge=1, description="channels at the finest resolution")
        average: float = Field(0.999, ge=0, lt=1, description="decay of the average of the generator's weights")

    kinds: ClassVar[tuple[str, ...]] = ("binary", "discrete")
    config: Config
    updates: Tensor

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        self.batch_size = config.batch_size
        self.generator = Generator(data, config.latent_dim, config.width)
        self.discriminator = discriminator(data, config.width)
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        self.register_buffer("updates", torch.zeros(()))
        self._optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer] | None = None

    @classmethod
    def check_data(cls, data: DataSpec) -> None:
        super().check_data(data)
        if not data.is_image:
            raise UnsupportedData(f"needs images (C, H, W), this has shape {data.shape}")

    def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        if self._optimizers is None:
            self._optimizers = self._make_optimizers()
        for optimizer in self._optimizers:
            set_learning_rate(optimizer, self.config.learning_rate * cosine(progress))
            optimizer.zero_grad(set_to_none=True)
        of_generator, of_discriminator = self._optimizers

        fake = self._levels(self.generator(self.prior().sample((len(batch.x),))))
        real_logit, fake_logit = self.discriminator(batch.x), self.discriminator(fake.detach())
        discriminator_loss = F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()
        discriminator_loss.backward()
        of_discriminator.step()

        self.discriminator.requires_grad_(False)
        generator_loss = F.softplus(-self.discriminator(fake)).mean()
        generator_loss.backward()
        of_generator.step()
        self.discriminator.requires_grad_(True)
        self._average()
        return {
            "loss": generator_loss.detach(),
            "discriminator_loss": discriminator_loss.detach(),
            "accuracy": torch.cat([real_logit > 0, fake_logit < 0]).float().mean(),
        }

    def training_state(self) -> dict[str, Any]:
        return {"optimizers": [optimizer.state_dict() for optimizer in self._optimizers or ()]}

    def load_training_state(self, state: dict[str, Any]) -> None:
        if state["optimizers"]:
            self._optimizers = self._make_optimizers()
            for optimizer, own in zip(self._optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(own)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        x = self.decode(self.prior().sample((n,)))
        assert self.data.levels is not None  # `kinds` has only data with levels
        return snap(x, self.data.levels)

    def prior(self) -> Distribution:
        return standard_normal(self.config.latent_dim, self.updates)

    def decode(self, z: Tensor) -> Tensor:
        """G(z), not rounded; it has no distribution around it."""
        return self.averaged(z)

    def _make_optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """The generator's and the discriminator's."""
        betas = (self.config.beta1, 0.999)
        return adam(self.generator.parameters(), 0.0, betas), adam(self.discriminator.parameters(), 0.0, betas)

    def _levels(self, x: Tensor) -> Tensor:
        """`x` rounded to the data's levels, with the gradient of the identity."""
        assert self.data.levels is not None  # `kinds` has only data with levels
        return x + (snap(x, self.data.levels) - x).detach()

    @torch.no_grad()
    def _average(self) -> None:
        self.updates += 1
        # the first updates weigh more, so that short budgets do not sample the initial weights
        weight = torch.clamp(9.0 / (9.0 + self.updates), min=1.0 - self.config.average)
        for mean, parameter in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(parameter, weight)
        for statistic, buffer in zip(self.averaged.buffers(), self.generator.buffers(), strict=True):
            statistic.copy_(buffer)


class Generator(nn.Module):
    """z `(B, latent_dim)` to images `(B, C, H, W)` in (0, 1): a projection and two transposed convolutions."""

    def __init__(self, data: DataSpec, latent_dim: int, width: int) -> None:
        super().__init__()
        channels, self.height, self.width = data.shape
        grid = (4 * width, math.ceil(self.height / 4), math.ceil(self.width / 4))
        self.net = nn.Sequential(
            nn.Linear(latent_dim, math.prod(grid), bias=False),
            nn.Unflatten(1, grid),
            nn.BatchNorm2d(4 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, channels, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )
        self.net.apply(_initialize)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)[:, :, : self.height, : self.width]


def discriminator(data: DataSpec, width: int) -> nn.Sequential:
    """Images `(B, C, H, W)` to logits `(B,)`: two strided convolutions and a linear layer."""
    channels, height, columns = data.shape
    grid = 2 * width * math.ceil(height / 4) * math.ceil(columns / 4)
    net = nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=2, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.LeakyReLU(SLOPE),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(grid, 1),
        nn.Flatten(0),
    )
    return net.apply(_initialize)


def _initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02^2) (Radford et al. 2016, section 4), those of batch normalisation around one."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)

"""The denoising autoencoder (Vincent et al. 2008, ICML; 2010, Journal of Machine Learning Research 11)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from genbench.model import Batch, Corruption, DataSpec, check_corruption, corrupt
from genbench_ae.autoencoder import Autoencoder, AutoencoderConfig


class DAE(Autoencoder):
    """An autoencoder that is given corrupted data and has to return the clean: the least E|g(f(x̃)) - x|², where x̃ is
    a new corruption of x at every step.

    Held-out data is corrupted too when the objective is measured on it. `encode` and `reconstruct` add no noise.

    Raises:
        UnsupportedData: salt-and-pepper noise on data that is not in [0, 1], and as `Autoencoder`.
    """

    class Config(AutoencoderConfig):
        """Options of `dae`."""

        corruption: Literal["auto", Corruption] = Field(
            "auto", description="noise on the input; auto: salt-and-pepper on binary data, else gaussian"
        )
        sigma: float = Field(
            0.2,
            ge=0,
            description="standard deviation of gaussian noise, where discrete data goes from 0 to 1; in units of the "
            "spread for continuous data",
        )
        rate: float = Field(
            0.2, ge=0, le=1, description="probability that masking, or salt-and-pepper together, hit a dimension"
        )

    config: Config
    spread: Tensor

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        auto: Corruption = "salt-and-pepper" if data.kind == "binary" else "gaussian"
        self.corruption = auto if config.corruption == "auto" else config.corruption
        check_corruption(data, self.corruption)
        self.register_buffer("spread", torch.ones(()))

    def setup(self, batch: Batch) -> None:
        """Measure the spread of continuous data: the root of its dimensions' mean variance."""
        if self.data.levels is None:
            self.spread.copy_(batch.x.var(0, correction=0).mean().sqrt())

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        return {"loss": self.error(self.decoder(self.encode(self.noisy(batch.x))), batch.x)}

    def noisy(self, x: Tensor) -> Tensor:
        """A new corruption of every point, `(B, *shape)`."""
        amount = self.config.sigma * self.spread if self.corruption == "gaussian" else self.config.rate
        return corrupt(x, self.corruption, amount)

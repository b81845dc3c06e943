"""Does the way through the code take noise away?"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from genbench.metrics.base import PROTOCOL_SEED, Measurement, Metric, NotApplicable, Subject
from genbench.metrics.coding import point_errors, reconstruct, some_points
from genbench.metrics.resampling import bootstrap
from genbench.model import Reconstructor, snap
from genbench.options import Options

#: The highest ratio that is told from a perfect one, in dB: about float32's precision.
CEILING = 120.0
#: d(10 log10 u) = DECIBEL du/u.
DECIBEL = 10 / math.log(10)


class Denoising(Metric):
    """`denoising_psnr`: the peak signal-to-noise ratio 10 log10(peak²/MSE), in dB, between clean test points and what
    the model makes of noisy ones, whether it was trained to do so (Vincent et al. 2008) or not.

    The noise suits the data's kind: Gaussian and then snapped to the levels of discrete data, flips of binary pixels,
    Gaussian in units of the data's spread (the root of the dimensions' mean variance in training data) for continuous
    data. It is the same for all models. The peak is 1 for data in [0, 1], and the spread for continuous data.

    The MSE is the mean over all points. Averaging each point's own ratio would be infinite as soon as one is restored
    exactly, as binary points are, and would be ruled by those that nearly are. Its error is that of the mean over
    points by the bootstrap, carried to dB: the interval through the logarithm, the standard error by its derivative. No
    error at all is reported as 120 dB, with a flag.

    The settings hold the ratio of the noisy points themselves (`noisy_psnr`) and what is gained on it (`gain`).
    """

    class Config(Options):
        """Options of `denoising`."""

        sigma: float = Field(
            0.2,
            gt=0,
            description="standard deviation of the noise, where discrete data goes from 0 to 1; in units of the spread "
            "for continuous data",
        )
        flip: float = Field(0.1, gt=0, le=0.5, description="probability that a binary pixel is flipped")
        n: int = Field(2000, ge=2, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Reconstructor,)
    names: ClassVar[tuple[str, ...]] = ("denoising_psnr",)
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        clean = some_points(subject.test, self.config.n)
        peak = 1.0 if subject.data.levels is not None else _spread(subject.train.x())
        noisy = self._noisy(clean, subject, peak)
        error = bootstrap(point_errors(clean, reconstruct(subject.model, noisy)) / peak**2)
        noise = point_errors(clean, noisy).mean().item() / peak**2
        if noise == 0:
            raise NotApplicable("the noise changed no test point")

        value = _decibels(error.mean)
        amount = {"flip": self.config.flip} if subject.data.kind == "binary" else {"sigma": self.config.sigma}
        settings: dict[str, Any] = {
            "n": len(clean),
            **amount,
            "peak": peak,
            "noisy_psnr": _decibels(noise),
            "gain": value - _decibels(noise),
        }
        if value == CEILING:
            flag = f"no error that float32 could hold: cut to {CEILING:.0f} dB"
            return [Measurement("denoising_psnr", value, "estimate", "higher", "dB", None, settings, flags=(flag,))]
        low, high = error.interval
        return [
            Measurement(
                "denoising_psnr",
                value,
                "estimate",
                "higher",
                "dB",
                stderr=DECIBEL * error.stderr / error.mean,
                settings=settings,
                interval=(_decibels(high), _decibels(low)),
            )
        ]

    def _noisy(self, x: Tensor, subject: Subject, spread: float) -> Tensor:
        draw = torch.Generator().manual_seed(PROTOCOL_SEED)  # on the CPU: the same noise on every device
        if subject.data.kind == "binary":
            flipped = torch.rand(x.shape, generator=draw).to(x.device) < self.config.flip
            return torch.where(flipped, 1 - x, x)
        noisy = x + self.config.sigma * spread * torch.randn(x.shape, generator=draw).to(x.device)
        return noisy if subject.data.levels is None else snap(noisy, subject.data.levels)


def _spread(x: Tensor) -> float:
    spread = x.flatten(1).double().var(0, correction=0).mean().sqrt().item()
    if spread == 0:
        raise NotApplicable("the training data is constant: noise has no scale")
    return spread


def _decibels(relative_error: float) -> float:
    """The ratio to the peak's square of an error in its units, at most the ceiling."""
    return CEILING if relative_error <= 0 else min(-10 * math.log10(relative_error), CEILING)

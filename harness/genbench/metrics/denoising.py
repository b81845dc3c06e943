"""Does the way through the code take noise away?"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from genbench.data import DataSpec
from genbench.metrics.base import PROTOCOL_SEED, Measurement, Metric, NotApplicable, Subject
from genbench.metrics.coding import point_errors, reconstruct, some_points
from genbench.metrics.resampling import bootstrap
from genbench.model import Corruption, Reconstructor, UnsupportedData, check_corruption, corrupt, snap
from genbench.options import Options

#: The highest ratio that is told from a perfect one, in dB: about float32's precision.
CEILING = 120.0
#: d(10 log10 u) = DECIBEL du/u.
DECIBEL = 10 / math.log(10)


class Denoising(Metric):
    """`denoising_psnr`: the peak signal-to-noise ratio 10 log10(peak²/MSE), in dB, between clean test points and what
    the model makes of noisy ones, whether it was trained to do so (Vincent et al. 2008) or not; `denoising_gain`: what
    that is above the ratio of the noisy points themselves, 0 for a model that returns what it is given.

    By default the noise suits the data's kind: Gaussian, flips of binary pixels, Gaussian in units of the data's spread
    (the root of the dimensions' mean variance in training data) for continuous data. Or it is a corruption that
    denoising autoencoders are trained on. Noisy discrete data is snapped to its levels. The noise is the same for all
    models. The peak is 1 for data in [0, 1], and the spread for continuous data.

    The MSE is the mean over all points. Averaging each point's own ratio would be infinite as soon as one is restored
    exactly, as binary points are, and would be ruled by those that nearly are. Its error is that of the mean over
    points by the bootstrap, carried to dB: the interval through the logarithm, the standard error by its derivative. No
    error at all is reported as 120 dB, with a flag. The gain's error is paired: that of the points' own differences,
    each error relative to its mean, which is the derivative of the ratio of the means.

    The settings hold the ratio of the noisy points themselves (`noisy_psnr`).
    """

    class Config(Options):
        """Options of `denoising`."""

        corruption: Literal["auto", Corruption] = Field(
            "auto", description="the noise; auto: flips of binary pixels, else gaussian"
        )
        sigma: float = Field(
            0.2,
            gt=0,
            description="standard deviation of gaussian noise, where discrete data goes from 0 to 1; in units of the "
            "spread for continuous data",
        )
        flip: float = Field(0.1, gt=0, le=0.5, description="probability that a binary pixel is flipped")
        rate: float = Field(
            0.2, gt=0, le=1, description="probability that masking, or salt-and-pepper together, hit a dimension"
        )
        n: int = Field(2000, ge=2, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Reconstructor,)
    names: ClassVar[tuple[str, ...]] = ("denoising_psnr", "denoising_gain")
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        clean = some_points(subject.test, self.config.n)
        peak = peak_of(subject)
        noisy, noise = self.noisy(clean, subject.data, peak)
        before = point_errors(clean, noisy) / peak**2
        if not before.any():
            raise NotApplicable("the noise changed no test point")
        after = point_errors(clean, reconstruct(subject.model, noisy)) / peak**2

        value, noisy_value = _decibels(after.mean()), _decibels(before.mean())
        gain = value - noisy_value
        common: dict[str, Any] = {
            "kind": "estimate",
            "better": "higher",
            "unit": "dB",
            "settings": {"n": len(clean), **noise, "peak": peak, "noisy_psnr": noisy_value},
        }
        if value == CEILING:
            common["flags"] = (f"no error that float32 could hold: cut to {CEILING:.0f} dB",)
            return [Measurement("denoising_psnr", value, **common), Measurement("denoising_gain", gain, **common)]
        error = bootstrap(after)
        low, high = (_decibels(end) for end in reversed(error.interval))
        paired = bootstrap(DECIBEL * (before / before.mean() - after / after.mean()))
        ends = (gain + paired.interval[0], gain + paired.interval[1])
        return [
            Measurement(
                "denoising_psnr", value, stderr=DECIBEL * error.stderr / error.mean, interval=(low, high), **common
            ),
            Measurement("denoising_gain", gain, stderr=paired.stderr, interval=ends, **common),
        ]

    def noisy(self, x: Tensor, data: DataSpec, spread: float) -> tuple[Tensor, dict[str, Any]]:
        """Noisy copies of the points, and what the noise was."""
        draw = torch.Generator().manual_seed(PROTOCOL_SEED)  # on the CPU: the same noise on every device
        config = self.config
        if config.corruption == "auto" and data.kind == "binary":
            flipped = torch.rand(x.shape, generator=draw).to(x.device) < config.flip
            return torch.where(flipped, 1 - x, x), {"corruption": "flips", "flip": config.flip}
        corruption: Corruption = "gaussian" if config.corruption == "auto" else config.corruption
        try:
            check_corruption(data, corruption)
        except UnsupportedData as error:
            raise NotApplicable(str(error)) from None
        if corruption == "gaussian":
            noisy, amount = corrupt(x, corruption, config.sigma * spread, draw), {"sigma": config.sigma}
        else:
            noisy, amount = corrupt(x, corruption, config.rate, draw), {"rate": config.rate}
        return noisy if data.levels is None else snap(noisy, data.levels), {"corruption": corruption, **amount}


def peak_of(subject: Subject) -> float:
    """The largest value of data in [0, 1], or the spread of continuous training data.

    Raises:
        NotApplicable: that data is constant.
    """
    if subject.data.levels is not None:
        return 1.0
    spread = subject.train.x().flatten(1).double().var(0, correction=0).mean().sqrt().item()
    if spread == 0:
        raise NotApplicable("the training data is constant: noise has no scale")
    return spread


def _decibels(relative_error: float) -> float:
    """The ratio to the peak's square of an error in its units, at most the ceiling."""
    return CEILING if relative_error <= 0 else min(-10 * math.log10(relative_error), CEILING)

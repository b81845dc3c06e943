"""How much is lost on the way through the code?"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from genbench.metrics.base import PROTOCOL_SEED, Measurement, Metric, Subject, choose
from genbench.metrics.coding import point_errors, reconstruct
from genbench.model import Reconstructor
from genbench.options import Options

#: Points of noise that a model is given, at most, and the share of its variance of which the identity loses less.
NOISE_POINTS = 1000
IDENTITY = 0.05


class Reconstruction(Metric):
    """Mean squared error per dimension between test points and their reconstructions, as data is presented (discrete
    data in [0, 1]). The standard error is that of the mean over test points.

    A small error says nothing of a model that reconstructs whatever it is given, as an autoencoder may whose code is as
    large as the data. So it is given noise: every dimension takes values of test points drawn independently of the
    other dimensions, which leaves data of the same kind, levels, means and variances, in which nothing goes with
    anything. The settings hold the error on it (`noise_mse`) and the share of its variance that is lost (`noise_lost`):
    0 for the identity, 1 for the mean data point, and (D - d)/D for a projection of D dimensions with equal variances
    to d of them. A model that loses less than 5% of it is flagged as the identity. So is a smaller code that holds all
    dimensions that vary noticeably, and rightly so: it leaves nothing out.
    """

    class Config(Options):
        """Options of `reconstruction`."""

        n: int = Field(10_000, ge=1, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Reconstructor,)
    names: ClassVar[tuple[str, ...]] = ("reconstruction_mse",)
    config: Config

    def quick(self) -> dict[str, Any]:
        return {"n": 500}

    def measure(self, subject: Subject) -> list[Measurement]:
        x = subject.test.batch(choose(subject.test, self.config.n)).x
        error = point_errors(x, reconstruct(subject.model, x))
        stderr = error.std(ddof=1).item() / math.sqrt(len(error)) if len(error) > 1 else None
        settings: dict[str, Any] = {"n": len(error)}
        flags = () if len(error) > 1 else ("a single test point: no error bar",)
        noise = _shuffled(x[:NOISE_POINTS])
        variance = noise.double().var(0, correction=0).mean().item()
        if variance > 0:
            settings["noise_mse"] = point_errors(noise, reconstruct(subject.model, noise)).mean().item()
            settings["noise_lost"] = settings["noise_mse"] / variance
            if settings["noise_lost"] < IDENTITY:
                flags = (*flags, "reconstructs noise as well: it has learnt the identity")
        return [
            Measurement("reconstruction_mse", error.mean().item(), "exact", "lower", "", stderr, settings, flags=flags)
        ]


def _shuffled(x: Tensor) -> Tensor:
    """Data points `(n, *shape)` with each dimension's values in an order of its own, the same in every run."""
    draw = torch.Generator().manual_seed(PROTOCOL_SEED)  # on the CPU: the same order on every device
    order = torch.rand(len(x), x[0].numel(), generator=draw).argsort(0).to(x.device)
    return x.flatten(1).gather(0, order).view_as(x)

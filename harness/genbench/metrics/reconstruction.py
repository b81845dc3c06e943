"""How much is lost on the way through the code?"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pydantic import Field

from genbench.metrics.base import Measurement, Metric, Subject, checked, choose
from genbench.model import Reconstructor
from genbench.options import Options

#: Data points reconstructed at once.
CHUNK = 500


class Reconstruction(Metric):
    """Mean squared error per dimension between test points and their reconstructions, as data is presented (discrete
    data in [0, 1]). The standard error is that of the mean over test points."""

    class Config(Options):
        """Options of `reconstruction`."""

        n: int = Field(10_000, ge=1, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Reconstructor,)
    names: ClassVar[tuple[str, ...]] = ("reconstruction_mse",)
    config: Config

    def quick(self) -> dict[str, Any]:
        return {"n": 500}

    def measure(self, subject: Subject) -> list[Measurement]:
        model, split = subject.model, subject.test
        errors = []
        for index in choose(split, self.config.n).split(CHUNK):
            x = split.batch(index).x
            reconstruction = checked(model, "reconstruct", model.reconstruct(x), tuple(x.shape))
            errors.append((reconstruction.double() - x).square().flatten(1).mean(1))
        error = torch.cat(errors)
        stderr = error.std().item() / math.sqrt(len(error)) if len(error) > 1 else None
        settings = {"n": len(error)}
        flags = () if len(error) > 1 else ("a single test point: no error bar",)
        return [
            Measurement("reconstruction_mse", error.mean().item(), "exact", "lower", "", stderr, settings, flags=flags)
        ]

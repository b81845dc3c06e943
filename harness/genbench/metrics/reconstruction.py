"""How much is lost on the way through the code?"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import Field

from genbench.metrics.base import Measurement, Metric, Subject, choose
from genbench.metrics.coding import point_errors, reconstruct
from genbench.model import Reconstructor
from genbench.options import Options


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
        x = subject.test.batch(choose(subject.test, self.config.n)).x
        error = point_errors(x, reconstruct(subject.model, x))
        stderr = error.std(ddof=1).item() / math.sqrt(len(error)) if len(error) > 1 else None
        settings = {"n": len(error)}
        flags = () if len(error) > 1 else ("a single test point: no error bar",)
        return [
            Measurement("reconstruction_mse", error.mean().item(), "exact", "lower", "", stderr, settings, flags=flags)
        ]

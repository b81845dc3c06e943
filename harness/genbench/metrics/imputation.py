"""Can what is missing be filled in from what the model learned?"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from genbench.metrics.base import PROTOCOL_SEED, Measurement, Metric, NotApplicable, Subject, seeded
from genbench.metrics.coding import reconstruct, some_points
from genbench.metrics.resampling import bootstrap
from genbench.model import Reconstructor
from genbench.options import Options


class Imputation(Metric):
    """`imputation_mse`: mean squared error per missing dimension of test points of which half the dimensions are given.

    Which half is drawn anew for every point, so that the number does not hang on one mask, and is the same for all
    models. Missing values start at the training mean, and are replaced a fixed number of times by those of the
    reconstruction of the whole (Rezende, Mohamed & Wierstra 2014, on the imputation of missing data, with means in
    place of draws, which makes it deterministic and its squared error smaller). For a linear Gaussian model the fixed
    point is the mean of what is missing given the rest.

    Values that are passed on are cut to [0, 1] where data lies there, but not snapped to its levels: an update of less
    than half a level would be lost and the iteration stuck where it began. In between, a binary pixel's value is a
    probability.

    The settings hold the error of the training mean (`mean_mse`) and the root mean square change in the last
    iteration (`last_change`), which is small where more of them would change little.
    """

    class Config(Options):
        """Options of `imputation`."""

        iterations: int = Field(20, ge=1, description="times that missing values are replaced")
        n: int = Field(1000, ge=2, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Reconstructor,)
    names: ClassVar[tuple[str, ...]] = ("imputation_mse",)
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        count = subject.data.dims // 2
        if count == 0:
            raise NotApplicable("data of one dimension has no half that could be missing")
        x = some_points(subject.test, self.config.n)
        # drawn on the CPU: the same on every device
        order = torch.rand(len(x), subject.data.dims, generator=torch.Generator().manual_seed(PROTOCOL_SEED)).argsort(1)
        missing = (order < count).view_as(x).to(x.device)

        def errors(guess: Tensor) -> Tensor:
            """Of each point, `(n,)`, for whole points that are right where nothing is missing."""
            return (guess.double() - x).square().flatten(1).sum(1) / count

        with seeded(PROTOCOL_SEED, subject.device):  # data that is binarised anew at every access has one mean for all
            mean = subject.train.x().double().mean(0).float()
        start = torch.where(missing, mean, x)
        filled = before = start
        for iteration in range(self.config.iterations):
            before, restored = filled, reconstruct(subject.model, filled)
            if subject.data.levels is not None:
                restored = restored.clamp(0, 1)
            filled = torch.where(missing, restored.float(), x)
            subject.progress((iteration + 1) / self.config.iterations)

        error = bootstrap(errors(filled).cpu().numpy())
        change = (filled - before).double().square().sum() / (count * len(x))
        settings: dict[str, Any] = {
            "n": len(x),
            "missing": count,
            "iterations": self.config.iterations,
            "mean_mse": errors(start).mean().item(),
            "last_change": change.sqrt().item(),
        }
        return [
            Measurement(
                "imputation_mse",
                error.mean,
                "estimate",
                "lower",
                stderr=error.stderr,
                settings=settings,
                interval=error.interval,
            )
        ]

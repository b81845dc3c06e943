"""How often does a model that has learnt classes from labels get them wrong?"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from genbench.metrics.base import Measurement, Metric, MetricError, NotApplicable, Subject, checked, choose
from genbench.metrics.coding import CHUNK
from genbench.metrics.resampling import wilson
from genbench.model import Classifier
from genbench.options import Options

#: How far the logarithm of the sum of a point's probabilities may be from 0, in nats.
ROUNDING = 1e-3


class Classification(Metric):
    """`classification_error`: the share of test points whose most probable class is not their own. The interval is
    Wilson's (1927), over test points."""

    class Config(Options):
        """Options of `classification`."""

        n: int = Field(10_000, ge=1, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Classifier,)
    names: ClassVar[tuple[str, ...]] = ("classification_error",)
    config: Config

    def quick(self) -> dict[str, Any]:
        return {"n": 500}

    def measure(self, subject: Subject) -> list[Measurement]:
        classes = subject.data.num_classes
        if classes is None:
            raise NotApplicable("the data has no class labels")
        wrong = 0
        index = choose(subject.test, self.config.n)
        for part in index.split(CHUNK):
            batch = subject.test.batch(part)
            assert batch.y is not None  # as there are classes
            wrong += int((_class_log_probs(subject.model, batch.x, classes).argmax(1) != batch.y).sum())
        n = len(index)
        error = wrong / n
        return [
            Measurement(
                "classification_error",
                error,
                "exact",
                "lower",
                stderr=math.sqrt(error * (1 - error) / n),
                settings={"n": n, "classes": classes},
                interval=wilson(error, n),
            )
        ]


def _class_log_probs(model: Any, x: Tensor, classes: int) -> Tensor:
    log_p = model.class_log_probs(x)
    if isinstance(log_p, Tensor):
        log_p = log_p.clamp(min=torch.finfo(log_p.dtype).min)  # an impossible class is no fault
    log_p = checked(model, "class_log_probs", log_p, (len(x), classes))
    total = log_p.double().logsumexp(1)
    if total.abs().max() > ROUNDING:
        raise MetricError(
            f"{type(model).__name__}.class_log_probs returned probabilities that sum to up to "
            f"{total.max().exp():.4g} (and down to {total.min().exp():.4g}), not to 1"
        )
    return log_p

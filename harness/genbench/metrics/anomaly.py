"""Does the model see that data of a class that it never met is not its own?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors

from genbench.data.device import DeviceSplit
from genbench.metrics.base import PROTOCOL_SEED, Measurement, Metric, NotApplicable, Subject, choose, seeded
from genbench.metrics.coding import encode, point_errors, reconstruct
from genbench.metrics.gaps import ROUNDING
from genbench.model import Encoder, Reconstructor, one_thread
from genbench.options import Options


class Anomaly(Metric):
    """How well two scores tell a class that was held out of training from the others, in test data: the area under the
    ROC curve, which is the probability that an anomaly scores higher than a normal point.

    - `anomaly_code_auroc`: the distance of a point's code to the k-th nearest code of a training point (Ramaswamy,
      Rastogi & Shim 2000). Neither the codes' mean nor their overall scale makes a difference;
    - `anomaly_error_auroc`: the point's reconstruction error.

    The standard error is DeLong's, DeLong & Clarke-Pearson's (1988).
    """

    class Config(Options):
        """Options of `anomaly`."""

        neighbours: int = Field(5, ge=1, description="k of the nearest training code")
        n_train: int = Field(5000, ge=1, description="training points whose codes are compared with, at most")
        n_test: int = Field(2000, ge=1, description="test points of either sort, at most")

    requires: ClassVar[tuple[type, ...]] = (Encoder, Reconstructor)
    names: ClassVar[tuple[str, ...]] = ("anomaly_code_auroc", "anomaly_error_auroc")
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        dataset, model = subject.dataset, subject.model
        if dataset.anomalies is None:
            if dataset.spec.num_classes is None:
                raise NotApplicable("the data has no classes of which one could be held out")
            example = min(3, dataset.spec.num_classes - 1)
            raise NotApplicable(f"no class is held out: ask for a view such as {dataset.name}[holdout={example}]")
        strange = DeviceSplit(dataset, "anomalies", subject.device)
        normal = subject.test.batch(choose(subject.test, self.config.n_test)).x
        anomalous = strange.batch(choose(strange, self.config.n_test)).x
        settings = {"n_normal": len(normal), "n_anomalous": len(anomalous)}

        measurements = []
        if isinstance(model, Encoder):
            with seeded(PROTOCOL_SEED, subject.device):  # data that is binarised anew at every access is one for all
                train = subject.train.batch(choose(subject.train, self.config.n_train)).x
            if len(train) < self.config.neighbours:
                raise NotApplicable(f"needs {self.config.neighbours} training points, there are {len(train)}")
            known, *asked = (encode(model, x) for x in (train, normal, anomalous))
            centre = known.mean(0)  # large means would cost the distances their precision
            with one_thread():
                tree = NearestNeighbors(n_neighbors=self.config.neighbours).fit(known - centre)
                scores = [tree.kneighbors(codes - centre)[0][:, -1] for codes in asked]
            if _same(np.concatenate([known, *asked])):
                scores = [np.zeros_like(part) for part in scores]
            more = {"neighbours": self.config.neighbours, "n_train": len(train)}
            measurements.append(_measurement("anomaly_code_auroc", scores, settings | more))
        if isinstance(model, Reconstructor):
            scores = [point_errors(x, reconstruct(model, x)) for x in (normal, anomalous)]
            if _same(np.concatenate(scores)):
                scores = [np.zeros_like(part) for part in scores]
            measurements.append(_measurement("anomaly_error_auroc", scores, settings))
        return measurements


def _same(values: np.ndarray) -> bool:
    """Whether the rows differ by no more than rounding, which depends on a row's place in its batch."""
    return bool(np.max(np.ptp(values, axis=0), initial=0.0) <= ROUNDING * np.max(np.abs(values), initial=0.0))


@dataclass(frozen=True)
class Area:
    """The area under a ROC curve with its standard error, None where there is one point of a sort."""

    value: float
    stderr: float | None


def auroc(normal: np.ndarray, anomalous: np.ndarray) -> Area:
    """P(anomalous > normal) + P(anomalous = normal)/2 for scores `(m,)` and `(n,)` (Mann & Whitney 1947).

    The standard error is from how each point's share of points of the other sort that it is right about varies
    (DeLong, DeLong & Clarke-Pearson 1988, equations 4 to 7), with the shares read off ranks (Sun & Xu 2014).
    """
    m, n = len(normal), len(anomalous)
    ranks = rankdata(np.concatenate([normal, anomalous]))
    below = (ranks[m:] - rankdata(anomalous)) / m  # of each anomaly: the normal points that score lower
    above = 1 - (ranks[:m] - rankdata(normal)) / n  # of each normal point: the anomalies that score higher
    stderr = math.sqrt(below.var(ddof=1) / n + above.var(ddof=1) / m) if min(m, n) > 1 else None
    return Area(float(below.mean()), stderr)


def _measurement(name: str, scores: list[np.ndarray], settings: dict[str, Any]) -> Measurement:
    normal, anomalous = scores
    area = auroc(normal, anomalous)
    flags: tuple[str, ...] = ()
    if area.stderr is None:
        flags = ("a single point of one sort: no error bar",)
    elif np.ptp(np.concatenate(scores)) == 0:
        flags = ("all scores are equal",)
    elif area.value in (0.0, 1.0):
        flags = ("the scores of the two sorts do not overlap: the standard error says too little",)
    return Measurement(name, area.value, "estimate", "higher", "", area.stderr, settings, flags=flags)

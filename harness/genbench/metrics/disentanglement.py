"""Does each code stand for one of the factors that made the data?"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from genbench.data.device import DeviceSplit
from genbench.metrics.base import (
    PROTOCOL_SEED,
    Measurement,
    Metric,
    NotApplicable,
    Subject,
    choose,
    seeded,
)
from genbench.metrics.coding import encode
from genbench.metrics.dci import PARTS, dci
from genbench.metrics.gaps import ROUNDING, Points, Score, gaps
from genbench.metrics.resampling import GROUPS, group_of
from genbench.model import Encoder, one_thread
from genbench.options import Options

#: Training points that a part, and test points that a group, must have.
PART_POINTS = 50
GROUP_POINTS = 2


class Disentanglement(Metric):
    """How a model's codes relate to the factors that made the data, for data whose factors are known.

    - `mig`: mutual information gap (Chen et al. 2018, equation 6): by what share of a factor's entropy the code that
      says most about it says more than the next;
    - `sap`: separated attribute predictability (Kumar et al. 2018): the same with the R² of a line, or for categorical
      factors the balanced accuracy of thresholds. `sap_maximum` in the settings is what codes that are the factors
      reach: 1 - 1/K for a factor of K categories, as knowing nothing has an accuracy of 1/K;
    - `dci_disentanglement`, `dci_completeness`, `dci_informativeness` (Eastwood & Williams 2018): whether a code
      matters to one factor only, whether one code only matters to a factor, and how well all codes together predict
      the factors.

    All of them are 1 at best (but for `sap`) and 0 within their error where codes say nothing; estimates may leave that
    range by their error. Codes are chosen, and everything is fitted, on training points; `mig`, `sap` and
    `dci_informativeness` are then of test points. The standard errors of `mig` and `sap` cover the choice of test
    points (not which codes were chosen, where several are about as good), those of the others that of training points
    and the trees' randomness, that of `dci_informativeness` all three. Neither the order nor the scale of the codes
    matters.

    Factors that take one value only are left out, constant codes stay in; both are flagged.
    """

    class Config(Options):
        """Options of `disentanglement`."""

        bins: int = Field(20, ge=2, description="values that codes are made discrete with, at most")
        trees: int = Field(20, ge=1, description=f"of each of the {PARTS} forests that a factor is predicted by")
        n_train: int = Field(5000, ge=PARTS * PART_POINTS, description="training points, at most")
        n_test: int = Field(2000, ge=GROUPS * GROUP_POINTS, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Encoder,)
    names: ClassVar[tuple[str, ...]] = (
        "mig",
        "sap",
        "dci_disentanglement",
        "dci_completeness",
        "dci_informativeness",
    )
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        data = subject.dataset
        if data.train.factors is None or data.test.factors is None:
            raise NotApplicable("the data has no ground-truth factors")
        with seeded(PROTOCOL_SEED, subject.device):  # pixels that are drawn anew are the same for all models
            train = _points(subject.model, subject.train, data.train.factors, self.config.n_train)
            test = _points(subject.model, subject.test, data.test.factors, self.config.n_test)
        varying = _check(train, test)
        constant = np.ptp(train.codes, axis=0) <= ROUNDING * np.abs(train.codes).max(axis=0)
        if constant.all():
            raise NotApplicable("the model's codes of training data are all the same")
        train, test = _prepared(train, test, varying, constant)
        names = np.array(data.factor_names)
        categorical = np.isin(names[varying], data.categorical_factors)

        with one_thread():
            mig, sap = gaps(train, test, categorical.tolist(), self.config.bins)
            scores = dci(train, test, categorical.tolist(), self.config.trees)

        values = np.array([len(np.unique(factor)) for factor in train.factors.T])
        settings = {
            "dimension": len(constant),
            "factors": names[varying].tolist(),
            "n_train": len(train.codes),
            "n_test": len(test.codes),
            "sap_maximum": float(np.where(categorical, 1 - 1 / values, 1).mean()),
        }
        flags = []
        if not varying.all():
            flags.append(f"factors left out, as they hardly vary: {', '.join(names[~varying])}")
        if constant.any():
            flags.append(f"{constant.sum()} of {len(constant)} codes are constant")
        if len(constant) == 1:
            flags.append("one code only: the second best counts as saying nothing, completeness is 1")
        cells = self.config.bins * int(values.max())
        sparse = [f"fewer test points than the {cells} cells of a table"] if len(test.codes) < cells else []
        return [
            _measurement("mig", mig, settings, flags + sparse),
            _measurement("sap", sap, settings, flags),
            _measurement("dci_disentanglement", scores.disentanglement, settings, flags),
            _measurement("dci_completeness", scores.completeness, settings, flags),
            _measurement("dci_informativeness", scores.informativeness, settings, flags),
        ]


def _points(model: Any, split: DeviceSplit, factors: np.ndarray, n: int) -> Points:
    """At most `n` points of a split, with their codes."""
    index = choose(split, n)
    return Points(encode(model, split.batch(index).x), factors[index.cpu().numpy()])


def _check(train: Points, test: Points) -> np.ndarray:
    """Which factors vary among training points, and among test points with any one group left out too: `(F,)` bool.

    Raises:
        NotApplicable: fewer than two do, or there are not enough points.
    """
    if len(train.codes) < PARTS * PART_POINTS or len(test.codes) < GROUPS * GROUP_POINTS:
        raise NotApplicable(
            f"needs {PARTS * PART_POINTS} training and {GROUPS * GROUP_POINTS} test points, "
            f"there are {len(train.codes)} and {len(test.codes)}"
        )
    group = group_of(len(test.codes))
    seen = [train.factors, *(test.factors[group != g] for g in range(GROUPS))]
    varying = np.all([np.ptp(factors, axis=0) > 0 for factors in seen], axis=0)
    if varying.sum() < 2:
        raise NotApplicable(f"needs two factors that vary, there are {varying.sum()}")
    return varying


def _prepared(train: Points, test: Points, varying: np.ndarray, constant: np.ndarray) -> tuple[Points, Points]:
    """The same points with the factors that vary, and codes that are standardised by the training codes' statistics,
    constant ones 0. The codes are in an order that theirs before has no influence on, as trees draw from it."""
    mean, scale = train.codes.mean(0), np.where(constant, np.inf, train.codes.std(0))
    order = np.lexsort(((train.codes - mean) / scale)[:PART_POINTS])

    def prepared(points: Points) -> Points:
        return Points(((points.codes - mean) / scale)[:, order], points.factors[:, varying])

    return prepared(train), prepared(test)


def _measurement(name: str, score: Score, settings: dict[str, Any], flags: list[str]) -> Measurement:
    return Measurement(
        name,
        score.value,
        "estimate",
        "higher",
        stderr=score.stderr,
        settings=settings,
        interval=score.interval,
        flags=tuple(flags),
    )

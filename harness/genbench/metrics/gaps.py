"""By how much does one code say more about a factor than any other code does? The gaps that MIG and SAP are means of.

The best and the second-best code of every factor are chosen on training points; the gap between them is measured on
test points. Were the same points used for both, codes that say nothing would have a gap: of any two numbers, one is
larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from genbench.metrics.resampling import GROUPS, group_of, jackknife

#: Differences that are smaller than this beside the numbers themselves are rounding.
ROUNDING = 1e-6


class Points(NamedTuple):
    """Data points in random order: their codes `(n, d)` float64 and the factors that made them `(n, F)` int64."""

    codes: np.ndarray
    factors: np.ndarray


@dataclass(frozen=True)
class Score:
    """A number, its standard error, and its 95% interval where that is not 1.96 standard errors to either side."""

    value: float
    stderr: float
    interval: tuple[float, float] | None = None


def gaps(train: Points, test: Points, categorical: Sequence[bool], bins: int) -> tuple[Score, Score]:
    """MIG (Chen et al. 2018, equation 6), less its bias of order 1/n, and SAP (Kumar et al. 2018, section 3).

    Where codes have to be discrete, those of at most `bins` different values are taken as they are; others are cut into
    as many bins, equally wide between the 1st and the 99th percentile of the training codes, the outer ones open.

    A code that is constant, and so says nothing, is added: it is the second best of a one-dimensional code.

    Args:
        train: the points that codes are chosen, bins are cut and lines are fitted on.
        test: the points that gaps are measured on; both standard errors are the jackknife's over them.
        categorical: for every factor whether its values have no order. In SAP it then counts by the balanced accuracy
            of thresholds on one code (at the bins' edges), otherwise by the R² of a line.
        bins: at least 2.
    """
    train, test = (points._replace(codes=np.pad(points.codes, ((0, 0), (0, 1)))) for points in (train, test))
    edges = [_edges(code, bins) for code in train.codes.T]
    train_bins, test_bins = (_binned(points.codes, edges) for points in (train, test))
    sizes = [len(inner) + 1 for inner in edges]
    mig, sap = [], []
    for k, unordered in enumerate(categorical):
        values, v = np.unique(np.concatenate([train.factors[:, k], test.factors[:, k]]), return_inverse=True)
        v_train, v_test = v[: len(train.factors)], v[len(train.factors) :]
        tables = [
            _count((size, len(values)), column, v_train) for size, column in zip(sizes, train_bins.T, strict=True)
        ]
        test_tables = _Tables(test_bins, sizes, v_test, len(values))
        mig.append(_information_gap(tables, test_tables))
        sap.append(
            _accuracy_gap(tables, test_tables)
            if unordered
            else _line_gap(
                train._replace(factors=train.factors[:, k]),
                test._replace(factors=test.factors[:, k]),
            )
        )
    information, predictability = np.mean(mig, axis=0), np.mean(sap, axis=0)
    found = jackknife(float(information[0]), information[1:].tolist())
    return (
        Score(found.debiased, found.stderr),
        Score(float(predictability[0]), jackknife(float(predictability[0]), predictability[1:].tolist()).stderr),
    )


def entropy(weights: np.ndarray) -> np.ndarray:
    """Entropy in nats along the last axis of weights that need not sum to 1; 0 where all of them are 0."""
    total = weights.sum(-1)
    return np.log(np.where(total > 0, total, 1)) - xlogy(weights, weights).sum(-1) / np.where(total > 0, total, 1)


def leave_out(parts: np.ndarray) -> np.ndarray:
    """The sum of all parts `(P, …)`, then the sums without each of them: `(1 + P, …)`."""
    whole = parts.sum(0, keepdims=True)
    return np.concatenate([whole, whole - parts])


@dataclass(frozen=True)
class _Tables:
    """Test points' bins `(n, d)`, how many there are of each code, and the values of one factor `(n,)`."""

    bins: np.ndarray
    sizes: list[int]
    values: np.ndarray
    num_values: int

    def table(self, code: int) -> np.ndarray:
        """How many test points have which bin and value, all and without each group: `(1 + GROUPS, bins, values)`."""
        shape = (GROUPS, self.sizes[code], self.num_values)
        return leave_out(_count(shape, group_of(len(self.values)), self.bins[:, code], self.values))


def _information_gap(tables: list[np.ndarray], test: _Tables) -> np.ndarray:
    """One factor's term of MIG, from all test points and without each group of them: `(1 + GROUPS,)`."""
    best, second = (test.table(code) for code in _two_best(np.array([_information(table) for table in tables])))
    return (_information(best) - _information(second)) / entropy(best.sum(-2))


def _accuracy_gap(tables: list[np.ndarray], test: _Tables) -> np.ndarray:
    """A categorical factor's term of SAP, from all test points and without each group of them: `(1 + GROUPS,)`."""
    shares = [table / np.maximum(table.sum(0), 1) for table in tables]  # of each value's points
    best, second = (
        _balanced_accuracy(test.table(code), shares[code].argmax(1))
        for code in _two_best(np.array([share.max(1).sum() for share in shares]))
    )
    return best - second


def _line_gap(train: Points, test: Points) -> np.ndarray:
    """An ordered factor's term of SAP, from all test points and without each group of them: `(1 + GROUPS,)`.

    `factors` is one factor `(n,)` here. R² is against the training points' mean.
    """
    mean, centre = train.codes.mean(0), train.factors.mean()
    codes, factor = train.codes - mean, train.factors - centre
    power = (codes**2).sum(0)
    slope = np.divide(factor @ codes, power, out=np.zeros(len(power)), where=power > 0)
    best, second = _two_best(slope**2 * power)
    truth = test.factors - centre
    errors = np.square(truth - ((test.codes - mean) * slope)[:, [best, second]].T)
    group = group_of(len(truth))
    lost, there = (leave_out(np.bincount(group, values, GROUPS)) for values in (errors[1] - errors[0], truth**2))
    return lost / there


def _information(table: np.ndarray) -> np.ndarray:
    """Mutual information in nats of the two variables that `(…, bins, values)` counts."""
    joint = table.reshape(*table.shape[:-2], -1)
    return entropy(table.sum(-1)) + entropy(table.sum(-2)) - entropy(joint)


def _balanced_accuracy(table: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Share of points `(…, bins, values)` whose value is the guess `(bins,)` in their bin, averaged over values."""
    right = np.where(guess[:, None] == np.arange(table.shape[-1]), table, 0).sum(-2)
    there = table.sum(-2)
    return (right / np.maximum(there, 1)).sum(-1) / (there > 0).sum(-1)


def _edges(code: np.ndarray, bins: int) -> np.ndarray:
    """What lies between the bins of one code `(n,)`, ascending."""
    values = np.unique(code)
    apart = np.diff(values) > ROUNDING * (values[-1] - values[0])
    if apart.sum() < bins:
        return ((values[1:] + values[:-1]) / 2)[apart]
    low, high = np.quantile(code, [0.01, 0.99])
    return np.linspace(low, high, bins + 1)[1:-1]


def _binned(codes: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    return np.stack([np.searchsorted(inner, code) for inner, code in zip(edges, codes.T, strict=True)], axis=1)


def _count(shape: tuple[int, ...], *index: np.ndarray) -> np.ndarray:
    """How often each cell of an array of this shape is named."""
    return np.bincount(np.ravel_multi_index(index, shape), minlength=np.prod(shape)).reshape(shape)


def _two_best(scores: np.ndarray) -> tuple[int, int]:
    second, best = np.argsort(scores, kind="stable")[-2:]
    return int(best), int(second)

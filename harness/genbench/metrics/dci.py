"""Disentanglement, completeness and informativeness of codes, by what forests of trees make of them (DCI)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student
from sklearn.ensemble import ExtraTreesRegressor

from genbench.metrics.base import NotApplicable
from genbench.metrics.gaps import Points, Score, entropy, leave_out
from genbench.metrics.resampling import GROUPS, group_of, jackknife

#: Disjoint parts of the training points, each with a forest of its own. Their number is what the error rests on.
PARTS = 10
#: Training points that must be left in a leaf.
LEAF = 5
#: Codes that a split chooses among, at most.
CANDIDATES = 32


@dataclass(frozen=True)
class DCI:
    """The three scores (Eastwood & Williams 2018), 1 at best."""

    disentanglement: Score
    completeness: Score
    informativeness: Score


def dci(train: Points, test: Points, categorical: Sequence[bool], trees: int) -> DCI:
    """DCI (Eastwood & Williams 2018, section 2) by forests of extremely randomised trees (Geurts et al. 2006).

    Every part of the training points has its own forest for every factor; the forests' importances, and what they
    predict, are averaged. As parts share no points, leaving out each in turn gives standard errors that cover the
    choice of training points and the forests' own randomness, and the bias that both cause: disentanglement and
    completeness are less it.

    Informativeness is, averaged over factors, 1 less the error on test points relative to that of the best guess
    without codes: R² for an ordered factor, and for a categorical one the share of a majority vote's mistakes that are
    avoided. It is negative where codes mislead. Its standard error covers the choice of test points too.

    Args:
        train: the points that forests are grown on; at least two factors, none of them constant.
        test: the points that informativeness is measured on.
        categorical: for every factor whether its values have no order.
        trees: of one forest.

    Raises:
        NotApplicable: trees find nothing to split on.
    """
    forests = [_grow(train, test, k, unordered, trees) for k, unordered in enumerate(categorical)]
    importance = leave_out(np.stack([forest.importance for forest in forests], axis=2))  # (1 + PARTS, d, F)
    if not importance.sum(1).all():
        raise NotApplicable("codes are the same for too many data points: trees find nothing to split on")
    return DCI(_debiased(_disentanglement(importance)), _debiased(_completeness(importance)), _informativeness(forests))


@dataclass(frozen=True)
class _Forests:
    """The forests of one factor.

    Attributes:
        importance: of every code to each part's forest `(PARTS, d)`, summing to 1.
        error: of every test point, by all forests and without each part's `(1 + PARTS, n)`.
        guess_error: of every test point, by the best guess without codes `(n,)`.
    """

    importance: np.ndarray
    error: np.ndarray
    guess_error: np.ndarray


def _grow(train: Points, test: Points, factor: int, unordered: bool, trees: int) -> _Forests:
    v_train, v_test = train.factors[:, factor], test.factors[:, factor]
    values = np.unique(v_train)
    # squared error on indicators is the Gini criterion
    target = (v_train[:, None] == values).astype(float) if unordered else v_train.astype(float)
    part = group_of(len(target), PARTS)
    importances, predictions = [], []
    for p in range(PARTS):
        forest = ExtraTreesRegressor(
            trees, min_samples_leaf=LEAF, max_features=min(CANDIDATES, train.codes.shape[1]), random_state=p
        ).fit(train.codes[part == p], target[part == p])
        importances.append(forest.feature_importances_)
        predictions.append(forest.predict(test.codes).reshape(len(v_test), -1))
    predicted = leave_out(np.stack(predictions)) / np.array([PARTS] + PARTS * [PARTS - 1])[:, None, None]
    guess = target.mean(0)
    if unordered:
        error, guess_error = values[predicted.argmax(2)] != v_test, values[guess.argmax()] != v_test
    else:
        error, guess_error = np.square(predicted[..., 0] - v_test), np.square(guess - v_test)
    return _Forests(np.stack(importances), error.astype(float), guess_error.astype(float))


def _disentanglement(importance: np.ndarray) -> np.ndarray:
    """Of importances `(…, d, F)`: how far each code matters to one factor only, weighted by how much it matters."""
    single = 1 - entropy(importance) / math.log(importance.shape[-1])
    return (single * importance.sum(-1)).sum(-1) / importance.sum((-2, -1))


def _completeness(importance: np.ndarray) -> np.ndarray:
    """Of importances `(…, d, F)`: how far one code only matters to each factor; 1 where there is but one code."""
    codes = importance.shape[-2]
    return (1 - entropy(importance.swapaxes(-1, -2)) / math.log(max(codes, 2))).mean(-1)


def _informativeness(forests: Sequence[_Forests]) -> Score:
    by_part = [1 - forest.error.sum(1) / forest.guess_error.sum() for forest in forests]
    group = group_of(len(forests[0].guess_error))
    by_group = [
        1 - np.divide(*(leave_out(np.bincount(group, e, GROUPS)) for e in (forest.error[0], forest.guess_error)))
        for forest in forests
    ]
    errors = [
        jackknife(scores[0], scores[1:].tolist()).stderr for scores in (np.mean(by_part, 0), np.mean(by_group, 0))
    ]
    return _score(float(np.mean(by_part, 0)[0]), math.hypot(*errors))


def _debiased(scores: np.ndarray) -> Score:
    """Of scores by all forests and without each part's `(1 + PARTS,)`."""
    found = jackknife(float(scores[0]), scores[1:].tolist())
    return _score(found.debiased, found.stderr)


def _score(value: float, stderr: float) -> Score:
    """With Student's interval, as the error comes from `PARTS` parts."""
    half = float(student.ppf(0.975, PARTS - 1)) * stderr
    return Score(value, stderr, (value - half, value + half))

"""Fixed orders. Every split is shuffled once, so that its first n points are a fair sample of it."""

from __future__ import annotations

import numpy as np

from genbench.data import Split

#: Seeds every order of the standard datasets; another value would be another benchmark.
SPLIT_SEED = 20240517


def fixed_order(n: int) -> np.ndarray:
    """The permutation of 0 … n-1 that this package uses for `n` points, `(n,)` int64.

    `RandomState` because its streams never change between numpy's versions.
    """
    return np.random.RandomState(SPLIT_SEED).permutation(n).astype(np.int64)


def shuffled(x: np.ndarray, y: np.ndarray) -> Split:
    """These points and labels as one split, in its fixed order."""
    order = fixed_order(len(x))
    return Split(x[order], y[order])

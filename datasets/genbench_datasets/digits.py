"""scikit-learn's 8×8 digits (Alpaydin & Kaynak 1998; the test part of the UCI set)."""

from __future__ import annotations

import numpy as np

from genbench.data import Dataset, DatasetSource, DataSpec, Split
from genbench_datasets.shuffle import fixed_order


class Digits(DatasetSource):
    """1,797 images of 17 levels in 1,078 / 359 / 360, every class in the same proportions."""

    def load(self) -> Dataset:
        from sklearn.datasets import load_digits

        digits = load_digits()
        x = digits.images.astype(np.uint8)[:, None]
        y = digits.target.astype(np.int64)
        order = fixed_order(len(x))
        fold = _place_in_class_order(y[order]) % 5
        return Dataset(
            name="digits",
            spec=DataSpec((1, 8, 8), "discrete", levels=17, num_classes=10),
            train=_split(x, y, order[(fold > 0) & (fold < 4)]),
            validation=_split(x, y, order[fold == 4]),
            test=_split(x, y, order[fold == 0]),
            family="digits",
        )


def _place_in_class_order(labels: np.ndarray) -> np.ndarray:
    """Where each point stands once all are sorted by class: every fifth of these places is a stratified fifth."""
    place = np.empty(len(labels), np.int64)
    place[np.argsort(labels, kind="stable")] = np.arange(len(labels))
    return place


def _split(x: np.ndarray, y: np.ndarray, index: np.ndarray) -> Split:
    return Split(x[index], y[index])

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from genbench.data import SPLITS, Dataset, DataSpec
from genbench_datasets.digits import Digits


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return Digits(Digits.Config(), Path("unused")).load()


def test_spec_and_sizes(digits: Dataset) -> None:
    assert digits.spec == DataSpec((1, 8, 8), "discrete", levels=17, num_classes=10)
    assert [len(getattr(digits, name)) for name in SPLITS] == [1078, 359, 360]
    assert (digits.name, digits.family) == ("digits", "digits")


@pytest.mark.fixed_seed
def test_splits_and_their_order_are_fixed() -> None:
    digits = Digits(Digits.Config(), Path("unused")).load()
    assert digits.fingerprint == "64ff863ce7709398"  # a new value is a new benchmark: no old number is comparable


def test_every_image_is_in_one_split_with_its_own_label(digits: Dataset) -> None:
    rows = [np.column_stack([s.y, s.x.reshape(len(s), -1)]) for s in (getattr(digits, name) for name in SPLITS)]
    raw = load_digits()
    everything = np.column_stack([raw.target, raw.images.reshape(len(raw.target), -1)])
    assert sorted(map(tuple, np.concatenate(rows).tolist())) == sorted(map(tuple, everything.tolist()))


def test_splits_are_stratified(digits: Dataset) -> None:
    whole = sum(np.bincount(getattr(digits, name).y, minlength=10) for name in SPLITS)
    for name, share in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        counts = np.bincount(getattr(digits, name).y, minlength=10)
        assert (np.abs(counts - share * whole) <= 1).all()


def test_the_first_points_of_a_split_are_of_all_classes(digits: Dataset) -> None:
    for name in SPLITS:
        assert set(getattr(digits, name).y[:100].tolist()) == set(range(10))

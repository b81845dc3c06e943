from dataclasses import replace

import numpy as np
import pytest

from genbench.data import Dataset, DataSpec, Split


def a_split(n: int = 6, *, levels: int = 4) -> Split:
    x = (np.arange(n * 4) % levels).astype(np.uint8).reshape(n, 1, 2, 2)
    return Split(x, np.arange(n) % 3)


def a_dataset(**changes: object) -> Dataset:
    spec = DataSpec((1, 2, 2), "discrete", levels=4, num_classes=3)
    whole = Dataset("toy", spec, a_split(), a_split(3), a_split(4), family="toy")
    return replace(whole, **changes)


def test_equal_content_has_equal_fingerprints() -> None:
    assert a_dataset().fingerprint == a_dataset().fingerprint
    assert len(a_dataset().fingerprint) == 16


@pytest.mark.parametrize("name", ["train", "validation", "test"])
@pytest.mark.parametrize("part", ["x", "y"])
def test_one_changed_number_changes_the_fingerprint(name: str, part: str) -> None:
    whole = a_dataset()
    array = getattr(getattr(whole, name), part).copy()
    array.flat[0] = 1 if array.flat[0] == 0 else 0
    changed = replace(whole, **{name: replace(getattr(whole, name), **{part: array})})
    assert changed.fingerprint != whole.fingerprint


def test_the_fingerprint_tells_splits_orders_and_specs_apart() -> None:
    whole = a_dataset()
    others = [
        a_dataset(validation=a_split(4), test=a_split(3)),
        a_dataset(train=Split(a_split().x[::-1], a_split().y[::-1])),
        a_dataset(spec=DataSpec((1, 2, 2), "discrete", levels=5, num_classes=3)),
    ]
    assert len({whole.fingerprint, *(other.fingerprint for other in others)}) == 4


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"test": Split(np.zeros((4, 4), np.uint8), np.zeros(4, np.int64))}, "test has shape"),
        ({"train": Split(np.zeros((4, 1, 2, 2)), np.zeros(4, np.int64))}, "train is float64"),
        ({"validation": Split(np.zeros((0, 1, 2, 2), np.uint8), np.zeros(0, np.int64))}, "validation is empty"),
        ({"test": Split(np.zeros((4, 1, 2, 2), np.uint8))}, "test has no labels, the spec has them"),
        ({"test": Split(np.full((4, 1, 2, 2), 4, np.uint8), np.zeros(4, np.int64))}, "test has level 4"),
        (
            {"test": Split(np.zeros((4, 1, 2, 2), np.uint8), np.zeros(3, np.int64))},
            r"labels of shape \(3,\), they should be \(4,\)",
        ),
        (
            {"test": Split(np.zeros((4, 1, 2, 2), np.uint8), np.full(4, 3))},
            "test has labels 3, they should be 0 … 2",
        ),
    ],
)
def test_a_split_that_does_not_fit_is_refused_by_name(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        a_dataset(**changes)


def test_continuous_data_must_be_finite() -> None:
    spec = DataSpec((2,), "continuous")
    good = Split(np.zeros((3, 2), np.float32))
    bad = Split(np.array([[0.0, np.nan]], np.float32))
    with pytest.raises(ValueError, match="validation has values that are not finite"):
        Dataset("toy", spec, good, bad, good, family="toy")

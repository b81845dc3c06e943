from dataclasses import replace

import numpy as np
import pytest

from genbench.data import Dataset, DataSpec, Split
from genbench.errors import OddData


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


WHOLE = np.arange(24).reshape(6, 1, 2, 2) % 4


def with_train(x: object = WHOLE.astype(np.uint8), y: object = np.arange(6) % 3) -> Dataset:
    return a_dataset(train=Split(x, y))  # type: ignore[arg-type]  # as plugins do


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint16", "uint64"])
def test_integers_of_any_width_are_levels_and_labels(dtype: str) -> None:
    found = with_train(WHOLE.astype(dtype), (np.arange(6) % 3).astype(dtype))
    assert (found.train.x.dtype, found.train.y.dtype) == (np.uint8, np.int64)
    assert found.fingerprint == with_train().fingerprint


def test_lists_booleans_and_views_are_taken_as_what_they_are() -> None:
    assert with_train(WHOLE.tolist(), (np.arange(6) % 3).tolist()).fingerprint == with_train().fingerprint
    spec = DataSpec((1, 2, 2), "binary", 2, 2)
    split = Split(WHOLE > 1, np.arange(6) > 2)
    dataset = Dataset("toy", spec, split, split, split, family="toy")
    assert set(dataset.train.x.ravel().tolist()) == {0, 1}
    assert dataset.train.y.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("dtype", ["float16", "float64", "int64"])
def test_numbers_of_any_width_are_continuous_data(dtype: str) -> None:
    points = Split(np.arange(12).reshape(6, 2).astype(dtype))
    dataset = Dataset("toy", DataSpec((2,), "continuous"), points, points, points, family="toy")
    assert dataset.train.x.dtype == np.float32
    assert dataset.train.x.tolist() == points.x.tolist()


def test_arrays_that_are_right_are_not_copied() -> None:
    split = a_split()
    assert a_dataset(train=split).train is split


class Odd:
    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise KeyError("no array")


@pytest.mark.parametrize(
    ("x", "complaint"),
    [
        (WHOLE / 3, r"train is float64 from 0 to 1, discrete data is uint8; convert it to levels 0 … 3 or declare"),
        (WHOLE - 1, r"train has level -1, the smallest is 0; shift"),
        (WHOLE + 1, r"train has level 4, the largest is 3; rescale"),
        (WHOLE.transpose(0, 2, 3, 1), r"channels come last: x.transpose\(0, 3, 1, 2\) puts"),
        (WHOLE[:, 0], r"shape \(2, 2\), the spec says \(1, 2, 2\); x\[:, None\] adds the channel"),
        (WHOLE.reshape(6, 4), r"shape \(4,\), the spec says \(1, 2, 2\); reshape"),
        (np.uint8(3), r"train has shape \(\), the spec says"),
        (None, "train has no x; give one array"),
        (WHOLE.astype(object), "train has Python objects in x, such as 0; give one array of numbers"),
        (WHOLE.astype(str), "train has text in x, such as '0'; give"),
        (WHOLE.astype(complex), "train has complex128 in x"),
        ([[1, 2], [3]], "train has x that make no array"),
        (Odd(), "train has x that make no array .'no array'.; give"),
        (np.ma.masked_equal(WHOLE, 2), "train has masked values in x; fill them"),
    ],
)
def test_odd_data_points_are_one_line_that_says_what_to_do(x: object, complaint: str) -> None:
    with pytest.raises(OddData, match=f"^{complaint}" if complaint.startswith("train") else complaint) as error:
        with_train(x)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("y", "complaint"),
    [
        (np.arange(6) % 3 + 1, "labels 1 … 3, they should be 0 … 2; subtract 1"),
        (np.arange(6) % 3 - 1, "labels -1 … 1, they should be 0 … 2; number the classes from 0"),
        (np.arange(6) % 3 / 1, "float64 labels, they should be integers; convert them"),
        (np.array(["cat", "dog", "cow"] * 2), "text in y, such as 'cat'; number the classes from 0 on"),
        (np.array(["cat", "dog", None] * 2, object), "Python objects in y, such as 'cat'; number"),
        (
            np.eye(3, dtype=int)[[0, 1, 2, 0, 1, 2]],
            r"labels of shape \(6, 3\), they should be \(6,\); take argmax\(1\)",
        ),
        (np.zeros((6, 1), int), r"labels of shape \(6, 1\), they should be \(6,\)"),
        (np.full(6, 2**63, np.uint64), "labels 9223372036854775808, they should be"),
    ],
)
def test_odd_labels_are_one_line_that_says_what_to_do(y: object, complaint: str) -> None:
    with pytest.raises(OddData, match=f"^train has {complaint}"):
        with_train(y=y)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"spec": {"shape": (1, 2, 2)}}, "its spec is a dict; it should be a genbench.data.DataSpec"),
        ({"train": (np.zeros(3), None)}, "its train is a tuple; it should be a genbench.data.Split"),
        ({"anomalies": "none"}, "its anomalies is a str; it should be a genbench.data.Split"),
        ({"family": None}, "its family is None; it should be text"),
        ({"factor_names": "row"}, "its factor_names are 'row'; they should be a tuple of texts"),
    ],
)
def test_fields_of_another_type_are_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(OddData, match=f"^{complaint}"):
        a_dataset(**changes)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (((28, 28, 3), "discrete", 256), r"\(28, 28, 3\) has its channels last"),
        (((28, 28), "discrete", 256), r"shape must be \(C, H, W\) or \(D,\)"),
        ((28, "continuous"), "shape is a tuple of whole numbers"),
        (((2.5,), "continuous"), "shape is a tuple of whole numbers"),
        (((2,), "grey"), "kind must be binary, discrete, continuous, not 'grey'"),
        (((2,), "discrete", 65536), "discrete data needs 2 to 256 levels, not 65536"),
        (((2,), "discrete", "many"), "levels and num_classes are some"),
        (((2,), "continuous", None, 0), "num_classes must be at least 1"),
    ],
)
def test_an_odd_spec_is_refused(fields: tuple, complaint: str) -> None:
    with pytest.raises(OddData, match=complaint):
        DataSpec(*fields)


def test_a_spec_of_numpy_s_numbers_is_the_same_spec() -> None:
    spec = DataSpec([np.int64(1), np.int32(2), 2], "discrete", np.int64(4), np.uint8(3))  # type: ignore[arg-type]
    assert repr(spec) == repr(DataSpec((1, 2, 2), "discrete", 4, 3))

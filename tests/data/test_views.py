import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from genbench.data import SPLITS, Dataset, DataSpec, Options, Split, ViewOptions, apply_view
from genbench.errors import UsageError
from genbench.plan.prepare import load_dataset
from genbench.plan.references import parse_references
from genbench_datasets.digits import Digits

LEVELS = 17


def grey(n: int = 400) -> Dataset:
    """Every level equally often, in every split."""
    x = np.tile(np.arange(LEVELS, dtype=np.uint8), n).reshape(n, 1, 1, LEVELS)
    split = Split(x, np.zeros(n, np.int64))
    return Dataset("ramp", DataSpec((1, 1, LEVELS), "discrete", LEVELS, 1), split, split, split, family="ramp")


def binary(method: str) -> Dataset:
    return apply_view(grey(), ViewOptions(binarize=method))


def test_no_view_is_the_dataset_itself() -> None:
    dataset = grey()
    assert apply_view(dataset, ViewOptions()) is dataset


@pytest.mark.parametrize("method", ["threshold", "static", "dynamic"])
def test_binary_views_keep_name_family_shape_and_labels(method: str) -> None:
    view = binary(method)
    assert view.spec == DataSpec((1, 1, LEVELS), "binary", 2, 1)
    assert (view.name, view.family) == ("ramp", "ramp")
    for name in SPLITS:
        assert np.array_equal(getattr(view, name).y, getattr(grey(), name).y)


def test_threshold_is_one_above_one_half() -> None:
    for name in SPLITS:
        x = getattr(binary("threshold"), name).x
        assert np.array_equal(x, np.broadcast_to(np.arange(LEVELS) > 8, x.shape))
        assert x.dtype == np.uint8


def test_static_pixels_follow_the_grey_level() -> None:
    x = binary("static").train.x
    rate = x.reshape(-1, LEVELS).mean(0)
    p = np.arange(LEVELS) / (LEVELS - 1)
    assert rate[0] == 0
    assert rate[-1] == 1
    stderr = np.sqrt(p * (1 - p) / len(x))
    assert (np.abs(rate - p) <= 5 * stderr).all()


def test_static_pixels_are_drawn_once_and_for_all() -> None:
    first, second = binary("static"), binary("static")
    assert first.fingerprint == second.fingerprint
    assert not first.redraw


@pytest.mark.fixed_seed
def test_static_pixels_are_those_that_they_always_were() -> None:
    first = binary("static")
    # changes with the seed or the way of drawing, and then so does the benchmark
    assert hashlib.sha256(first.train.x.tobytes()).hexdigest()[:16] == "b5980e3ab02211e3"


def test_splits_are_drawn_independently() -> None:
    view = binary("static")
    p = np.arange(LEVELS) / (LEVELS - 1)
    expected = np.mean(2 * p * (1 - p))
    n = view.train.x.size
    differing = np.mean(view.train.x != view.test.x)
    assert abs(differing - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def test_dynamic_keeps_grey_training_levels_and_fixes_the_rest_as_static_does() -> None:
    dynamic, static = binary("dynamic"), binary("static")
    assert dynamic.redraw
    assert dynamic.grey_levels == LEVELS
    assert np.array_equal(dynamic.train.x, grey().train.x)
    assert np.array_equal(dynamic.validation.x, static.validation.x)
    assert np.array_equal(dynamic.test.x, static.test.x)


def test_every_view_has_its_own_fingerprint() -> None:
    views = [grey(), binary("threshold"), binary("static"), binary("dynamic")]
    assert len({view.fingerprint for view in views}) == 4


def test_256_levels_are_drawn_exactly() -> None:
    x = np.repeat(np.array([0, 1, 254, 255], np.uint8), 100_000).reshape(-1, 1)
    split = Split(x)
    dataset = Dataset("four", DataSpec((1,), "discrete", 256), split, split, split, family="four")
    rate = apply_view(dataset, ViewOptions(binarize="static")).train.x.reshape(4, -1).mean(1)
    assert rate[0] == 0
    assert rate[3] == 1
    stderr = math.sqrt(1 / 255 * 254 / 255 / 100_000)
    assert abs(rate[1] - 1 / 255) < 5 * stderr
    assert abs(rate[2] - 254 / 255) < 5 * stderr


@pytest.mark.parametrize("method", ["threshold", "static", "dynamic"])
def test_binary_data_is_not_binarized_again(method: str) -> None:
    with pytest.raises(UsageError, match=f"ramp: binarize={method} needs grey levels, this data is binary"):
        apply_view(binary("static"), ViewOptions(binarize=method))


def test_continuous_data_is_not_binarized() -> None:
    split = Split(np.zeros((3, 2), np.float32))
    dataset = Dataset("plane", DataSpec((2,), "continuous"), split, split, split, family="plane")
    with pytest.raises(UsageError, match=r"plane: binarize=threshold .* continuous"):
        apply_view(dataset, ViewOptions(binarize="threshold"))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValidationError):
        ViewOptions(binarize="sometimes")


def digits_of_three_classes() -> Dataset:
    """Points of class c have pixels at level c in the corner, and are told apart by their other pixels."""

    def split(n: int, seed: int) -> Split:
        rng = np.random.default_rng(seed)
        y = rng.permutation(np.arange(n) % 3)
        x = rng.integers(0, 5, (n, 1, 2, 2)).astype(np.uint8)
        x[:, 0, 0, 0] = y
        return Split(x, y)

    return Dataset("corner", DataSpec((1, 2, 2), "discrete", 5, 3), split(30, 0), split(9, 1), split(12, 2), "corner")


def test_the_class_held_out_is_in_no_split_and_its_test_points_are_the_anomalies() -> None:
    whole = digits_of_three_classes()
    view = apply_view(whole, ViewOptions(holdout=1))
    assert (view.spec, view.name, view.family) == (whole.spec, "corner", "corner")
    for name in SPLITS:
        before, after = getattr(whole, name), getattr(view, name)
        assert np.array_equal(after.x, before.x[before.y != 1])
        assert np.array_equal(after.y, before.y[before.y != 1])
    assert view.anomalies is not None
    assert np.array_equal(view.anomalies.x, whole.test.x[whole.test.y == 1])
    assert view.anomalies.y is not None
    assert set(view.anomalies.y) == {1}


def test_factors_stay_with_their_points() -> None:
    whole = digits_of_three_classes()
    factors = {
        name: replace(split, factors=np.stack([split.y, np.arange(len(split))], 1))
        for name in SPLITS
        for split in [getattr(whole, name)]
    }
    view = apply_view(replace(whole, **factors, factor_names=("class", "position")), ViewOptions(holdout=1))
    for split in (view.train, view.validation, view.test, view.anomalies):
        assert split is not None
        assert split.factors is not None
        assert np.array_equal(split.factors[:, 0], split.y)


@pytest.mark.parametrize("method", ["threshold", "static", "dynamic"])
def test_points_that_stay_have_the_binary_pixels_that_they_have_without_a_holdout(method: str) -> None:
    whole = apply_view(digits_of_three_classes(), ViewOptions(binarize=method))
    view = apply_view(digits_of_three_classes(), ViewOptions(binarize=method, holdout=2))
    assert view.spec == whole.spec
    assert view.redraw == whole.redraw
    for name in SPLITS:
        before, after = getattr(whole, name), getattr(view, name)
        assert np.array_equal(after.x, before.x[before.y != 2])
    assert view.anomalies is not None
    assert np.array_equal(view.anomalies.x, whole.test.x[whole.test.y == 2])
    assert view.anomalies.x.max() <= 1


def test_every_holdout_has_its_own_fingerprint_and_the_anomalies_are_part_of_it() -> None:
    whole = digits_of_three_classes()
    views = [apply_view(whole, ViewOptions(holdout=label)) for label in range(3)]
    kept = replace(views[0], anomalies=None)
    assert len({dataset.fingerprint for dataset in (whole, kept, *views)}) == 5


@pytest.mark.fixed_seed
def test_a_dataset_without_anomalies_has_the_fingerprint_that_it_always_had() -> None:
    # a published number is compared with new ones only as long as this stands
    assert digits_of_three_classes().fingerprint == "2c3e84d83ff8b1d1"


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (Split(np.zeros((2, 4), np.uint8), np.ones(2, np.int64)), "anomalies has shape"),
        (Split(np.full((2, 1, 2, 2), 9, np.uint8), np.ones(2, np.int64)), "anomalies has level 9"),
        (Split(np.zeros((2, 1, 2, 2), np.uint8)), "anomalies has no labels, the spec has them"),
    ],
)
def test_anomalies_that_do_not_fit_the_spec_are_refused(part: Split, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(digits_of_three_classes(), anomalies=part)


def test_a_reference_carries_the_holdout_into_label_and_view() -> None:
    (reference,) = parse_references("digits[holdout=3,binarize=static]")
    found, dataset = load_dataset(reference, "genbench_datasets.digits:Digits")
    assert found.label == "digits[binarize=static,holdout=3]"
    assert found.view == {"binarize": "static", "holdout": 3}
    again = apply_view(Digits(Options(), Path()).load(), ViewOptions.model_validate(found.view))
    assert dataset.fingerprint == again.fingerprint
    (refused,) = parse_references("digits[holdout=three]")
    with pytest.raises(UsageError, match=r"dataset 'digits', option holdout=three: .* valid integer"):
        load_dataset(refused, "genbench_datasets.digits:Digits")


def test_a_class_that_is_not_there_can_not_be_held_out() -> None:
    whole = digits_of_three_classes()
    with pytest.raises(UsageError, match=r"corner: holdout=3: there is no such class, they are 0 … 2"):
        apply_view(whole, ViewOptions(holdout=3))
    without_ones = replace(whole, test=whole.test.at(whole.test.y != 1))
    with pytest.raises(UsageError, match=r"corner: holdout=1: the test split has no point of this class"):
        apply_view(without_ones, ViewOptions(holdout=1))
    with pytest.raises(ValidationError):
        ViewOptions(holdout=-1)


def test_something_has_to_be_left() -> None:
    with pytest.raises(UsageError, match=r"ramp: holdout=0: the train split has no point of another class"):
        apply_view(grey(), ViewOptions(holdout=0))


def test_data_without_labels_has_no_class_to_hold_out() -> None:
    split = Split(np.zeros((3, 2), np.float32))
    dataset = Dataset("plane", DataSpec((2,), "continuous"), split, split, split, family="plane")
    with pytest.raises(UsageError, match="plane: holdout=3 needs class labels, this data has none"):
        apply_view(dataset, ViewOptions(holdout=3))

import hashlib
import math

import numpy as np
import pytest
from pydantic import ValidationError

from genbench.data import SPLITS, Dataset, DataSpec, Split, ViewOptions, apply_view
from genbench.errors import UsageError

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
    assert (np.abs(rate - p) <= 4 * stderr).all()


def test_static_pixels_are_drawn_once_and_for_all() -> None:
    first, second = binary("static"), binary("static")
    assert first.fingerprint == second.fingerprint
    assert not first.redraw
    # changes with the seed or the way of drawing, and then so does the benchmark
    assert hashlib.sha256(first.train.x.tobytes()).hexdigest()[:16] == "b5980e3ab02211e3"


def test_splits_are_drawn_independently() -> None:
    view = binary("static")
    p = np.arange(LEVELS) / (LEVELS - 1)
    expected = np.mean(2 * p * (1 - p))
    n = view.train.x.size
    differing = np.mean(view.train.x != view.test.x)
    assert abs(differing - expected) < 4 * math.sqrt(expected * (1 - expected) / n)


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
    assert abs(rate[1] - 1 / 255) < 4 * stderr
    assert abs(rate[2] - 254 / 255) < 4 * stderr


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

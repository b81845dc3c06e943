import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from genbench.data import SPLITS, Dataset, DataSpec
from genbench.metrics.extractors import extractor_for
from genbench_datasets.sprites import FACTORS, FINE, POSITIONS, RADIUS, ROTATIONS, SCALES, SHAPES, Sprites, draw

COUNTS = (len(SHAPES), len(SCALES), len(ROTATIONS), POSITIONS, POSITIONS)
MIDDLE = POSITIONS // 2
#: Of the square and the ellipse in the unit circle.
AREAS = {0: 2.0, 1: math.pi / 2}


def sprites(**options: int) -> Dataset:
    return Sprites(Sprites.Config(**options), Path("unused")).load()


@pytest.fixture(scope="module")
def default() -> Dataset:
    return sprites()


@pytest.fixture(scope="module")
def everything() -> np.ndarray:
    """All 52,020 pictures at the default size, in the order of their factors."""
    return draw(all_factors(), 32, 256)


def all_factors() -> np.ndarray:
    return np.stack(np.unravel_index(np.arange(math.prod(COUNTS)), COUNTS), axis=1)


def coverage(factors: list[int], side: int = 32) -> np.ndarray:
    return draw(np.array([factors]), side, 256)[0, 0] / 255


def test_spec_and_sizes(default: Dataset) -> None:
    assert default.spec == DataSpec((1, 32, 32), "discrete", levels=256, num_classes=3)
    assert [len(getattr(default, name)) for name in SPLITS] == [6000, 2000, 2000]
    assert (default.family, default.factor_names) == ("sprites", FACTORS)
    assert default.categorical_factors == ("shape",)
    assert extractor_for(default) is None


@pytest.mark.fixed_seed
def test_pictures_and_their_order_are_fixed() -> None:
    assert sprites().fingerprint == "fca48070ddb1b0c6"  # a new value is a new benchmark: no old number is comparable


@pytest.mark.parametrize(("side", "levels"), [(16, 17), (64, 256)])
def test_other_sizes(side: int, levels: int) -> None:
    dataset = sprites(side=side, levels=levels, n=200)
    assert dataset.spec == DataSpec((1, side, side), "discrete", levels=levels, num_classes=3)
    assert [len(getattr(dataset, name)) for name in SPLITS] == [120, 40, 40]
    assert dataset.train.x.max() == levels - 1


def test_no_combination_of_factors_is_in_two_splits(default: Dataset) -> None:
    factors = np.concatenate([getattr(default, name).factors for name in SPLITS])
    assert len(np.unique(factors, axis=0)) == 10_000
    assert (factors.min(0) == 0).all()
    assert (factors.max(0) == np.array(COUNTS) - 1).all()


def test_factors_are_sampled_uniformly(default: Dataset) -> None:
    for column, count in zip(default.train.factors.T, COUNTS, strict=True):
        share, n = 1 / count, len(column)
        stderr = math.sqrt(n * share * (1 - share))
        assert (np.abs(np.bincount(column, minlength=count) - n * share) < 5 * stderr).all()


def test_the_class_is_the_shape(default: Dataset) -> None:
    for name in SPLITS:
        split = getattr(default, name)
        assert np.array_equal(split.y, split.factors[:, 0])
        assert np.array_equal(split.x, draw(split.factors, 32, 256))


def test_every_combination_looks_different(everything: np.ndarray) -> None:
    assert len({picture.tobytes() for picture in everything}) == len(everything)


def test_no_shape_is_cut_off_or_loses_area_on_its_way(everything: np.ndarray) -> None:
    area = everything.reshape(*COUNTS, -1).sum(-1) / 255
    middle = area[..., MIDDLE : MIDDLE + 1, MIDDLE : MIDDLE + 1]
    assert np.abs(area - middle).max() < 1e-9  # positions are whole pixels at this side


@pytest.mark.parametrize("shape", [0, 1])
def test_areas_are_those_of_the_shapes(shape: int) -> None:
    for scale, size in enumerate(SCALES):
        for rotation in (0, 4, 9):
            found, radius = coverage([shape, scale, rotation, MIDDLE, MIDDLE]).sum(), RADIUS * 32 * size
            half_a_grid_point = 2 * math.pi * radius / (2 * FINE)  # all along an outline no longer than the circle's
            assert found == pytest.approx(AREAS[shape] * radius**2, abs=half_a_grid_point)


def test_pixels_are_grey_where_an_edge_crosses_them() -> None:
    picture = coverage([0, 5, 5, MIDDLE, MIDDLE])
    assert len(np.unique(picture)) > 10
    half_side = RADIUS * 32 * math.sqrt(0.5)
    upright = coverage([0, 5, 0, MIDDLE, MIDDLE])
    assert upright[16].sum() == pytest.approx(2 * half_side, abs=2 / FINE)  # a grid point at either end


def test_x_points_right_and_y_down() -> None:
    rows, columns = np.mgrid[:32, :32] + 0.5
    for x, y in [(0, 0), (16, 0), (3, 12)]:
        picture = coverage([1, 3, 5, x, y])  # an ellipse, whose centre is its centre of mass
        centre = [(picture * axis).sum() / picture.sum() for axis in (columns, rows)]
        assert centre == pytest.approx([8 + x, 8 + y], abs=0.02)


def test_shapes_turn_by_five_degrees_clockwise() -> None:
    rows, columns = np.mgrid[:64, :64] - 31.5
    for rotation in range(len(ROTATIONS)):
        picture = coverage([1, 5, rotation, MIDDLE, MIDDLE], side=64)
        moments = [(picture * a * b).sum() for a, b in [(columns, columns), (rows, rows), (columns, rows)]]
        angle = math.atan2(2 * moments[2], moments[0] - moments[1]) / 2
        assert math.degrees(angle) == pytest.approx(5 * rotation, abs=0.3)


def test_rotation_has_an_order() -> None:
    for shape in range(3):
        turned = np.stack([coverage([shape, 5, r, MIDDLE, MIDDLE]).ravel() for r in range(len(ROTATIONS))])
        distance = np.square(turned - turned[0]).sum(1)
        assert (np.diff(distance) > 0).all()


def test_the_heart_stands_on_its_tip() -> None:
    heart = coverage([2, 5, 0, MIDDLE, MIDDLE])
    assert np.array_equal(heart, heart[:, ::-1])
    widths = (heart > 0.5).sum(1)
    assert widths.argmax() < np.flatnonzero(widths).mean()
    top = np.flatnonzero(heart.any(1))[0]
    assert heart[top, 12] > 2 * heart[top, 15]  # the notch


@pytest.mark.parametrize(
    "options", [{"n": 9}, {"n": 52_021}, {"side": 12}, {"side": 18}, {"side": 68}, {"levels": 16}, {"levels": 257}]
)
def test_bad_options_are_refused(options: dict) -> None:
    with pytest.raises(ValidationError):
        Sprites.Config(**options)

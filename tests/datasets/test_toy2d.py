import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from genbench.data import SPLITS, Dataset, DataSpec
from genbench_datasets.toy2d import SHAPES, Toy2D


def toy(shape: str, n: int = 10_000) -> Dataset:
    return Toy2D(Toy2D.Config(shape=shape, n=n), Path("unused")).load()


def points(dataset: Dataset) -> np.ndarray:
    return np.concatenate([getattr(dataset, name).x for name in SPLITS])


def labels(dataset: Dataset) -> np.ndarray:
    return np.concatenate([getattr(dataset, name).y for name in SPLITS])


@pytest.mark.parametrize(("shape", "classes"), [("moons", 2), ("gaussians", 8), ("checkerboard", None), ("spirals", 2)])
def test_spec_and_sizes(shape: str, classes: int | None) -> None:
    dataset = toy(shape, 1000)
    assert dataset.spec == DataSpec((2,), "continuous", num_classes=classes)
    assert [len(getattr(dataset, name)) for name in SPLITS] == [600, 200, 200]
    assert dataset.family == "toy2d"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_points_every_time_and_none_twice(shape: str) -> None:
    dataset = toy(shape)
    assert dataset.fingerprint == toy(shape).fingerprint
    assert len(np.unique(points(dataset), axis=0)) == 10_000


@pytest.mark.fixed_seed
def test_the_seed_is_fixed() -> None:
    first = {shape: toy(shape).test.x[0] for shape in SHAPES}
    expected = {
        "moons": [1.54104, -0.91881],
        "gaussians": [0.83749, -0.93032],
        "checkerboard": [1.12758, -0.39695],
        "spirals": [0.09596, -1.72604],
    }
    for shape, x in first.items():
        assert x == pytest.approx(expected[shape], abs=1e-5), shape


@pytest.mark.parametrize("shape", SHAPES)
def test_points_are_standardised(shape: str) -> None:
    x = points(toy(shape, 100_000)).astype(np.float64)
    stderr = x.std(0) / math.sqrt(len(x))
    assert (np.abs(x.mean(0)) < 5 * stderr).all()
    squares = (x**2).sum(1)
    assert abs(squares.mean() - 2) < 5 * squares.std() / math.sqrt(len(x))


def test_gaussians_are_eight_on_a_circle() -> None:
    dataset = toy("gaussians", 80_000)
    x, y = points(dataset), labels(dataset)
    spread = math.sqrt(2 / (1 + 2 / 64)) / 8
    for k in range(8):
        cluster = x[y == k]
        centre = 8 * spread * np.array([math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)])
        assert (np.abs(cluster.mean(0) - centre) < 5 * spread / math.sqrt(len(cluster))).all()
        assert np.allclose(cluster.std(0), spread, rtol=5 / math.sqrt(2 * len(cluster)))


def test_checkerboard_fills_every_second_square_evenly() -> None:
    x = points(toy("checkerboard", 80_000))
    side = math.sqrt(3) / 2
    column, row = np.floor(x / side).astype(int).T + 2
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (column, row), 1)
    dark = np.add.outer(np.arange(4), np.arange(4)) % 2 == 0
    assert (counts[~dark] == 0).all()
    assert (np.abs(counts[dark] - 10_000) < 5 * math.sqrt(80_000 / 8 * 7 / 8)).all()


def test_moons_are_half_circles() -> None:
    dataset = toy("moons", 20_000)
    y = labels(dataset)
    scale = math.sqrt(2 / (0.75 + 0.5 - 1 / math.pi + 0.0625 + 0.02))
    x = points(dataset) / scale
    x[y == 1] *= -1  # the lower moon is the upper one, turned
    x += [0.5, 0.25]
    radius = np.linalg.norm(x, axis=1)
    assert abs(radius.mean() - 1 - 0.1**2 / 2) < 5 * 0.1 / math.sqrt(len(x))  # noise across adds its square over two
    assert abs(radius.std() - 0.1) < 5 * 0.1 / math.sqrt(2 * len(x))
    assert (x[:, 1] > -0.5).all()


def test_spirals_wind_in_opposite_phase() -> None:
    dataset = toy("spirals", 20_000)
    x = points(dataset)
    radius = np.linalg.norm(x, axis=1) / math.sqrt(2 / (0.5 + 2 / 1600))
    outer = radius > 0.3
    phase = np.arctan2(x[:, 1], x[:, 0]) - 3 * math.pi * radius - math.pi * labels(dataset)
    wrapped = np.abs(np.angle(np.exp(1j * phase[outer])))
    assert wrapped.max() < math.pi / 2  # half way to the other spiral is where it would be ambiguous


@pytest.mark.parametrize("options", [{"shape": "rings"}, {"n": 9}, {"points": 3}])
def test_bad_options_are_refused(options: dict) -> None:
    with pytest.raises(ValidationError):
        Toy2D.Config(**options)

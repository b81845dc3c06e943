"""Densities in the plane that show at a glance what a model can and can't do. Generated; every coordinate has mean
zero, and the two have unit variance on average, by constants that do not depend on how many points are drawn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field

from genbench.data import Dataset, DatasetSource, DataSpec, Options, Split

SEED = 20240517

Points = tuple[np.ndarray, np.ndarray | None]


class Toy2D(DatasetSource):
    """`n` points of one shape in 60 / 20 / 20%, independent draws throughout."""

    class Config(Options):
        """Options of toy2d."""

        shape: Literal["moons", "gaussians", "checkerboard", "spirals"] = Field("moons", description="the density")
        n: int = Field(10_000, ge=10, le=10_000_000, description="points in all three splits together")

    config: Config

    def load(self) -> Dataset:
        shape, n = self.config.shape, self.config.n
        draw, num_classes = SHAPES[shape]
        x, y = draw(np.random.RandomState(SEED), n)
        x = x.astype(np.float32)
        ends = [0, n * 6 // 10, n * 8 // 10, n]
        train, validation, test = (
            Split(x[start:stop], None if y is None else y[start:stop]) for start, stop in itertools.pairwise(ends)
        )
        spec = DataSpec((2,), "continuous", num_classes=num_classes)
        return Dataset("toy2d", spec, train, validation, test, family="toy2d")


def moons(generator: np.random.RandomState, n: int) -> Points:
    """Two interleaved half circles of radius 1 with Gaussian noise of 0.1; the class is the half circle."""
    noise = 0.1
    y = generator.randint(0, 2, n)
    angle = generator.uniform(0, math.pi, n)
    side = 1 - 2 * y
    x = np.stack([side * (np.cos(angle) - 0.5), side * (np.sin(angle) - 0.25)], axis=1)
    x += noise * generator.standard_normal((n, 2))
    # E[(cos - 1/2)^2] and E[(sin - 1/4)^2] over a half circle, where E[cos] = 0 and E[sin] = 2/pi
    second_moment = (0.5 + 0.25) + (0.5 - 1 / math.pi + 0.0625) + 2 * noise**2
    return _unit(x, second_moment), y.astype(np.int64)


def gaussians(generator: np.random.RandomState, n: int) -> Points:
    """Eight Gaussians on a circle, their standard deviation an eighth of its radius; the class is the Gaussian."""
    spread = 1 / 8
    y = generator.randint(0, 8, n)
    angle = y * (math.pi / 4)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1) + spread * generator.standard_normal((n, 2))
    return _unit(x, 1 + 2 * spread**2), y.astype(np.int64)


def checkerboard(generator: np.random.RandomState, n: int) -> Points:
    """Uniform on the eight dark squares of a 4×4 board; no classes, as the light squares are empty."""
    column = generator.randint(0, 4, n)
    row = 2 * generator.randint(0, 2, n) + column % 2
    corner = np.stack([column, row], axis=1) - 2
    return _unit(corner + generator.uniform(0, 1, (n, 2)), 2 * 16 / 12), None


def spirals(generator: np.random.RandomState, n: int) -> Points:
    """Two Archimedean spirals of one and a half turns, evenly filled along the radius squared, with Gaussian noise of
    a fortieth of their radius; the class is the spiral."""
    noise = 1 / 40
    y = generator.randint(0, 2, n)
    radius = np.sqrt(generator.uniform(0, 1, n))
    angle = 3 * math.pi * radius + math.pi * y
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x += noise * generator.standard_normal((n, 2))
    return _unit(x, 0.5 + 2 * noise**2), y.astype(np.int64)


def _unit(x: np.ndarray, second_moment: float) -> np.ndarray:
    """`x`, whose mean is zero and E|x|^2 is `second_moment`, scaled to E|x|^2 = 2."""
    return x * math.sqrt(2 / second_moment)


SHAPES: dict[str, tuple[Callable[[np.random.RandomState, int], Points], int | None]] = {
    "moons": (moons, 2),
    "gaussians": (gaussians, 8),
    "checkerboard": (checkerboard, None),
    "spirals": (spirals, 2),
}

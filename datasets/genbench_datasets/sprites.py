"""Pictures of one bright shape on black, with the factors that made them (after dSprites, Matthey et al. 2017).

Generated: shapes are drawn on a fine grid, and every pixel is the share of its area that the shape covers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from pydantic import Field

from genbench.data import Dataset, DatasetSource, DataSpec, Options, Split
from genbench_datasets.shuffle import fixed_order

#: Of the circle that every shape of scale 1 fits, as a share of the picture's side: a shape whose centre is a quarter
#: of the side away from the border is never cut off.
RADIUS = 0.24
#: A factor of the size.
SCALES = np.linspace(0.5, 1.0, 6)
#: Radians. A square looks the same again after 90 degrees, an ellipse after 180. Between 0 and 45 degrees, both
#: included, all values look different, and the more so the further apart they are: the factor has an order.
ROTATIONS = np.radians(np.arange(0, 50, 5))
#: Values of x and of y: from a quarter of the side to three quarters.
POSITIONS = 17
#: Grid points per pixel along either axis.
FINE = 8

FACTORS = ("shape", "scale", "rotation", "x", "y")


class Sprites(DatasetSource):
    """`n` of the 52,020 pictures that there are, drawn without replacement, in 60 / 20 / 20%; the class is the shape.

    All of them look different, but for one in 120 at the smallest side and the fewest levels.
    """

    class Config(Options):
        """Options of sprites."""

        n: int = Field(10_000, ge=10, le=52_020, description="pictures in all three splits together")
        side: int = Field(32, ge=16, le=64, multiple_of=4, description="width and height in pixels")
        levels: int = Field(256, ge=17, le=256, description="grey levels")

    config: Config

    def load(self) -> Dataset:
        n, side, levels = self.config.n, self.config.side, self.config.levels
        counts = (len(SHAPES), len(SCALES), len(ROTATIONS), POSITIONS, POSITIONS)
        factors = np.stack(np.unravel_index(fixed_order(math.prod(counts))[:n], counts), axis=1).astype(np.int64)
        pictures = draw(factors, side, levels)
        ends = [0, n * 6 // 10, n * 8 // 10, n]
        train, validation, test = (
            Split(pictures[start:stop], factors[start:stop, 0], factors[start:stop])
            for start, stop in itertools.pairwise(ends)
        )
        return Dataset(
            name="sprites",
            spec=DataSpec((1, side, side), "discrete", levels, num_classes=len(SHAPES)),
            train=train,
            validation=validation,
            test=test,
            family="sprites",
            factor_names=FACTORS,
            categorical_factors=("shape",),
        )


def draw(factors: np.ndarray, side: int, levels: int) -> np.ndarray:
    """Pictures `(N, 1, side, side)` uint8 of factors `(N, 5)`, in the order of `FACTORS`.

    Every shape, scale and rotation is drawn once on a fine grid; how much of a pixel it covers, wherever it is put, is
    read off the grid's integral image.
    """
    pictures = np.empty((len(factors), 1, side, side), np.uint8)
    looks, look = np.unique(factors[:, :3], axis=0, return_inverse=True)
    window = FINE * side // 2
    corner = FINE * np.arange(side + 1) - factors[:, 3:, None] * window // (POSITIONS - 1)  # (N, x and y, side + 1)
    x, y = corner.clip(0, window).swapaxes(0, 1)
    for index, (shape, scale, rotation) in enumerate(looks):
        integral = _integral(SHAPES[shape], RADIUS * side * SCALES[scale], ROTATIONS[rotation], window)
        these = look == index
        covered = np.diff(np.diff(integral[y[these, :, None], x[these, None, :]], axis=1), axis=2)
        pictures[these, 0] = (2 * covered * (levels - 1) + FINE**2) // (2 * FINE**2)
    return pictures


Inside = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _integral(inside: Inside, radius: float, angle: float, window: int) -> np.ndarray:
    """How many grid points above and left of each corner of the grid are in the shape, `(window + 1, window + 1)`.

    Args:
        inside: the shape, in the unit circle.
        radius: what that circle's becomes, in pixels.
        angle: by which it is turned clockwise, in radians.
        window: grid points along either axis, around the shape's centre.
    """
    centre = (np.arange(window) + 0.5 - window / 2) / (FINE * radius)
    right, down = np.meshgrid(centre, centre)
    cos, sin = math.cos(angle), math.sin(angle)
    counts = inside(cos * right + sin * down, cos * down - sin * right).cumsum(0, np.int32).cumsum(1, np.int32)
    return np.pad(counts, ((1, 0), (1, 0)))


def square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether points are in the square in the unit circle; `u` points right and `v` down, as for all shapes."""
    return np.maximum(np.abs(u), np.abs(v)) <= math.sqrt(0.5)


def ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether points are in the ellipse that is as wide as the unit circle and half as high."""
    return u * u + 4 * v * v <= 1


def heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether points are in the heart (a² + b² - 1)³ <= a²b³ (b up), scaled to fit the unit circle."""
    a, b = 1.43 * u, -1.43 * v
    ring = a * a + b * b - 1
    return ring * ring * ring <= a * a * b * b * b


SHAPES: tuple[Inside, ...] = (square, ellipse, heart)

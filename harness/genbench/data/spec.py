"""What a model may know about its data before it sees any."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["binary", "discrete", "continuous"]


@dataclass(frozen=True)
class DataSpec:
    """Shape and kind of one data point.

    Attributes:
        shape: `(C, H, W)` for images, `(D,)` for vectors.
        kind: `"binary"` (0 or 1), `"discrete"` (`levels` integer levels, presented as level/(levels-1) in [0, 1]),
            or `"continuous"` (real numbers).
        levels: number of levels of discrete data, 2 for binary data, None for continuous data.
        num_classes: number of class labels, or None where there are none.

    Raises:
        ValueError: the fields contradict each other.
    """

    shape: tuple[int, ...]
    kind: Kind
    levels: int | None = None
    num_classes: int | None = None

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 3) or any(size < 1 for size in self.shape):
            raise ValueError(f"shape must be (C, H, W) or (D,), not {self.shape}")
        if self.kind == "binary" and self.levels != 2:
            raise ValueError(f"binary data has 2 levels, not {self.levels}")
        if self.kind == "discrete" and (self.levels is None or self.levels < 2):
            raise ValueError(f"discrete data needs at least 2 levels, not {self.levels}")
        if self.kind == "continuous" and self.levels is not None:
            raise ValueError(f"continuous data has no levels, but {self.levels} were given")

    @property
    def dims(self) -> int:
        """Number of dimensions of one data point."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether a data point is an image `(C, H, W)`."""
        return len(self.shape) == 3

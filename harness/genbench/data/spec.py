"""What a model may know about its data before it sees any."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Literal, get_args

from genbench.errors import OddData

Kind = Literal["binary", "discrete", "continuous"]
#: Levels are stored in a byte.
MAX_LEVELS = 256
#: From this size on, (S, S, 1) and (S, S, 3) are taken for square images with their channels last.
SQUARE = 8


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
        OddData: (a `ValueError`) the fields contradict each other.
    """

    shape: tuple[int, ...]
    kind: Kind
    levels: int | None = None
    num_classes: int | None = None

    def __post_init__(self) -> None:
        self._check_types()
        if len(self.shape) not in (1, 3) or any(size < 1 for size in self.shape):
            raise OddData(f"shape must be (C, H, W) or (D,), not {self.shape}")
        if self.is_image and self.shape[0] == self.shape[1] >= SQUARE and self.shape[2] in (1, 3):
            raise OddData(f"shape must be (C, H, W), and {self.shape} has its channels last; transpose the images")
        if self.kind not in get_args(Kind):
            raise OddData(f"kind must be {', '.join(get_args(Kind))}, not {self.kind!r}")
        if self.kind == "binary" and self.levels != 2:
            raise OddData(f"binary data has 2 levels, not {self.levels}")
        if self.kind == "discrete" and (self.levels is None or not 2 <= self.levels <= MAX_LEVELS):
            raise OddData(f"discrete data needs 2 to {MAX_LEVELS} levels, not {self.levels}")
        if self.kind == "continuous" and self.levels is not None:
            raise OddData(f"continuous data has no levels, but {self.levels} were given")
        if self.num_classes is not None and self.num_classes < 1:
            raise OddData(f"num_classes must be at least 1, or None where there are no labels, not {self.num_classes}")

    def _check_types(self) -> None:
        """Bring whole numbers of any type to Python's own."""
        try:
            object.__setattr__(self, "shape", tuple(operator.index(size) for size in self.shape))
            for name in ("levels", "num_classes"):
                if (value := getattr(self, name)) is not None:
                    object.__setattr__(self, name, operator.index(value))
        except TypeError:
            given = f"shape {self.shape!r:.40}, levels {self.levels!r:.40}, num_classes {self.num_classes!r:.40}"
            raise OddData(f"shape is a tuple of whole numbers, levels and num_classes are some: {given}") from None

    @property
    def dims(self) -> int:
        """Number of dimensions of one data point."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether a data point is an image `(C, H, W)`."""
        return len(self.shape) == 3

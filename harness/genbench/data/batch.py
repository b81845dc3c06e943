"""The unit that models are trained on."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Data points and, where the dataset has them, their labels.

    Attributes:
        x: `(B, *shape)` float32 on the model's device; discrete data as level/(levels-1) in [0, 1].
        y: `(B,)` int64 class labels, or None.
    """

    x: Tensor
    y: Tensor | None = None

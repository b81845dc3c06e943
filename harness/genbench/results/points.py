"""Pseudo-values over groups of test points, packed for a record: 8 bits each, since a folder has a million of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from struct import calcsize, pack, unpack_from

#: The mean of the pseudo-values, and the largest deviation from it; then follow the deviations in steps of the largest.
_HEAD = "<dd"
_STEPS = 127


def packed(points: Sequence[float]) -> str:
    """The pseudo-values as base64: their mean, and the deviation of each from it, rounded to 1/127 of the largest.

    Rounding changes the variance of 100 normal pseudo-values by less than 0.01%.
    """
    if not len(points):
        return ""
    mean = sum(points) / len(points)
    largest = max(abs(point - mean) for point in points)
    steps = [round((point - mean) / largest * _STEPS) if largest else 0 for point in points]
    return base64.b64encode(pack(f"{_HEAD}{len(steps)}b", mean, largest, *steps)).decode()


def unpacked(text: str) -> list[float]:
    """The pseudo-values that `packed` wrote; none for an empty text.

    Raises:
        ValueError: the text is nothing that `packed` writes.
    """
    if not text:
        return []
    content = base64.b64decode(text, validate=True)
    count = len(content) - calcsize(_HEAD)
    if count < 1:
        raise ValueError("too short for packed pseudo-values")
    mean, largest, *steps = unpack_from(f"{_HEAD}{count}b", content)
    return [mean + largest * step / _STEPS for step in steps]

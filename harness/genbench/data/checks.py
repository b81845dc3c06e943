"""Checks of a dataset's arrays; integers and floats of another width are converted, all else is refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from genbench.data.spec import DataSpec
from genbench.errors import OddData

#: Kinds of numpy's dtypes.
INTEGER, NUMBER = "biu", "biuf"


def checked_points(split: str, x: Any, spec: DataSpec, levels: int | None) -> np.ndarray:
    """The data points as uint8 levels below `levels`, or float32 where there are no levels.

    Raises:
        OddData: they are no numbers, of another shape than the spec says, no levels or not finite, or there are none.
    """
    x = _array(split, "x", x)
    if x.shape[1:] != spec.shape or x.ndim == 0:
        raise OddData(f"{split} has shape {x.shape[1:]}, the spec says {spec.shape}{_layout_hint(x.shape[1:], spec)}")
    if len(x) == 0:
        raise OddData(f"{split} is empty; every split needs data points")
    if levels is None:
        return _finite(split, x)
    return _levels(split, x, spec, levels)


def checked_labels(split: str, y: Any, n: int, num_classes: int) -> np.ndarray:
    """The labels of `n` data points as int64.

    Raises:
        OddData: they are no integers in 0 … `num_classes`-1, or not one for each data point.
    """
    y = _array(split, "y", y, "number the classes from 0 on")
    if y.shape == (n, num_classes) and num_classes > 1:
        raise OddData(f"{split} has labels of shape {y.shape}, they should be ({n},); take argmax(1) of one-hot labels")
    if y.shape != (n,):
        raise OddData(f"{split} has labels of shape {y.shape}, they should be ({n},)")
    if y.dtype.kind not in INTEGER:
        raise OddData(f"{split} has {y.dtype} labels, they should be integers; convert them")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= num_classes:
        todo = "subtract 1" if (low, high) == (1, num_classes) else "number the classes from 0 on or mend num_classes"
        found = low if low == high else f"{low} … {high}"
        raise OddData(f"{split} has labels {found}, they should be 0 … {num_classes - 1}; {todo}")
    return y.astype(np.int64, copy=False)


def checked_factors(split: str, factors: Any, n: int, count: int) -> np.ndarray:
    """The values of `count` factors for each of `n` data points as int64.

    Raises:
        OddData: they are no integers, or not so many.
    """
    factors = _array(split, "factors", factors, "number their values")
    if factors.shape != (n, count):
        raise OddData(f"{split} has factors of shape {factors.shape}, they should be ({n}, {count})")
    if factors.dtype.kind not in INTEGER:
        raise OddData(f"{split} has {factors.dtype} factors, they should be integers; number their values")
    if factors.dtype == np.uint64 and factors.max() > np.iinfo(np.int64).max:
        raise OddData(f"{split} has factors up to {factors.max()}, which is beyond int64; number their values")
    return factors.astype(np.int64, copy=False)


def _array(split: str, what: str, value: Any, todo: str = "give one array of numbers") -> np.ndarray:
    """The value as an array of numbers."""
    if value is None:
        raise OddData(f"{split} has no {what}; {todo}")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise OddData(f"{split} has masked values in {what}; fill them or leave these points out")
    try:
        array = np.asarray(value)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OddData(f"{split} has {what} that make no array ({reason}); {todo}") from None
    if array.dtype.kind not in NUMBER:
        example = f", such as {array.reshape(-1)[:1].tolist()[0]!r:.40}" if array.size else ""
        kinds = {"O": "Python objects", "U": "text", "S": "bytes"}
        raise OddData(f"{split} has {kinds.get(array.dtype.kind, array.dtype)} in {what}{example}; {todo}")
    return array


def _layout_hint(found: tuple[int, ...], spec: DataSpec) -> str:
    """Advice on data points of another shape."""
    if spec.is_image:
        channels, height, width = spec.shape
        if found == (height, width, channels):
            return "; its channels come last: x.transpose(0, 3, 1, 2) puts them first"
        if channels == 1 and found == (height, width):
            return "; x[:, None] adds the channel"
    if int(np.prod(found)) == spec.dims:
        return "; reshape x or mend the spec"
    return "; mend x or the spec"


def _finite(split: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what float32 can't hold becomes infinite, and is refused
        x = x.astype(np.float32, copy=False)
    finite = np.isfinite(x)
    if not finite.all():
        bad = ~finite.reshape(len(x), -1).all(1)
        raise OddData(
            f"{split} has values that are not finite in {bad.sum()} of {len(x)} data points, the first at index "
            f"{bad.argmax()}; replace them or leave these points out"
        )
    return x


def _levels(split: str, x: np.ndarray, spec: DataSpec, levels: int) -> np.ndarray:
    if x.dtype.kind not in INTEGER:
        span = f"from {x.min():.4g} to {x.max():.4g}"
        todo = f"convert it to levels 0 … {levels - 1} or declare the data continuous"
        raise OddData(f"{split} is {x.dtype} {span}, {spec.kind} data is uint8; {todo}")
    low, high = int(x.min()) if x.dtype.kind == "i" else 0, int(x.max())
    if low < 0:
        raise OddData(f"{split} has level {low}, the smallest is 0; shift the levels")
    if high >= levels:
        raise OddData(f"{split} has level {high}, the largest is {levels - 1}; rescale them or declare more levels")
    return x.astype(np.uint8, copy=False)

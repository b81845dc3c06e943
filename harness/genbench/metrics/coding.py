"""A model's codes and reconstructions: asked for a part at a time, checked, and compared with the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.data.device import DeviceSplit
from genbench.metrics.base import NotApplicable, checked, choose, in_chunks

#: Data points that a model is given at once.
CHUNK = 500


def encode(model: Any, x: Tensor) -> np.ndarray:
    """The codes of `x` `(n, *shape)`, `(n, d)` float64.

    Raises:
        MetricError: they aren't.
    """
    return in_chunks(
        lambda part: checked(model, "encode", model.encode(part), (len(part), None)).double().cpu(), x, CHUNK
    ).numpy()


def decode(model: Any, codes: np.ndarray, like: Tensor) -> Tensor:
    """The reconstructions `(n, *shape)` from `codes` `(n, d)`, of the shape and on the device of `like`.

    Raises:
        MetricError: they aren't.
    """
    z = torch.from_numpy(codes).to(like)
    shape = like.shape[1:]
    return in_chunks(lambda part: checked(model, "decode", model.decode(part), (len(part), *shape)), z, CHUNK)


def reconstruct(model: Any, x: Tensor) -> Tensor:
    """The reconstructions of `x`, both `(n, *shape)`.

    Raises:
        MetricError: they aren't.
    """
    return in_chunks(lambda part: checked(model, "reconstruct", model.reconstruct(part), tuple(part.shape)), x, CHUNK)


def point_errors(x: Tensor, restored: Tensor) -> np.ndarray:
    """The mean squared error per dimension of each data point, `(n,)` float64, for two `(n, *shape)`."""
    return (restored.double() - x).square().flatten(1).mean(1).cpu().numpy()


def some_points(split: DeviceSplit, n: int) -> Tensor:
    """`n` data points of a split, or all, `(n, *shape)`; the same in every run.

    Raises:
        NotApplicable: there are fewer than two, which leaves no error bar.
    """
    index = choose(split, n)
    if len(index) < 2:
        raise NotApplicable("needs at least two data points for an error bar")
    return split.batch(index).x

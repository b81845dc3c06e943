"""The rows that calibrate a table: real data never seen, a copy of the training set, and noise, judged as samples."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.data import DataSpec
from genbench.data.device import DeviceSplit
from genbench.errors import GenbenchError
from genbench.model import Sampler, quantize


class FromSplit(Sampler):
    """'Samples' that are data points of a split, without repetition as long as there are enough."""

    def __init__(self, split: DeviceSplit) -> None:
        self.split = split

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        total = len(self.split)
        index = torch.cat([torch.randperm(total) for _ in range(-(-n // total))])[:n]
        return self.split.batch(index.to(self.split.device)).x


class Noise(Sampler):
    """Uniform noise over the levels of discrete data; for continuous data, over the range that each dimension has."""

    def __init__(self, data: DataSpec, train: DeviceSplit) -> None:
        self.data = data
        self.low = train.x().amin(0) if data.levels is None else torch.zeros(data.shape, device=train.device)
        self.high = train.x().amax(0) if data.levels is None else torch.ones(data.shape, device=train.device)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        u = torch.rand(n, *self.data.shape, device=self.low.device)
        if self.data.levels is not None:
            return quantize(u, self.data.levels)
        return self.low + u * (self.high - self.low)


def reference_row(name: str, data: DataSpec, train: DeviceSplit, test: DeviceSplit) -> Sampler:
    """The stand-in for a model that a reference row needs.

    Raises:
        GenbenchError: there is no reference row of this name.
    """
    if name == "real (test split)":
        return FromSplit(test)
    if name == "train copy":
        return FromSplit(train)
    if name == "noise":
        return Noise(data, train)
    raise GenbenchError(f"no reference row '{name}'")

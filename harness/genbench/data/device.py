"""Splits that live whole on the device and hand out batches there, without Python per data point."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from genbench.data.batch import Batch
from genbench.data.dataset import Dataset


class DeviceSplit:
    """One split of a dataset on a device, kept as uint8 levels or float32.

    Under dynamic binarisation every access to a training point draws its pixels anew, with torch's global generator.

    Args:
        dataset: the dataset.
        name: `"train"`, `"validation"` or `"test"`.
        device: where it lives.
    """

    def __init__(self, dataset: Dataset, name: str, device: torch.device) -> None:
        split = getattr(dataset, name)
        self.name = name
        self.device = device
        self._x = _tensor(split.x, device)
        self._y = None if split.y is None else _tensor(split.y, device)
        self._redraw = dataset.redraw and name == "train"
        levels = dataset.grey_levels if self._redraw else dataset.spec.levels
        self._top = None if levels is None else levels - 1

    def __len__(self) -> int:
        return len(self._x)

    def x(self, limit: int | None = None) -> Tensor:
        """The first `limit` (default: all) data points, `(N, *shape)` float32 as a batch presents them."""
        return self._present(self._x[:limit])

    def y(self, limit: int | None = None) -> Tensor | None:
        """Their labels `(N,)` int64, or None."""
        return None if self._y is None else self._y[:limit]

    def batch(self, index: Tensor) -> Batch:
        """The data points at `index`, a `(B,)` tensor of positions on the device."""
        x = self._x.index_select(0, index)  # copies whole rows, unlike indexing with a tensor
        return Batch(self._present(x), None if self._y is None else self._y[index])

    def chunks(self, size: int) -> Iterator[Batch]:
        """The whole split in order, in batches of at most `size`."""
        for start in range(0, len(self), size):
            stop = start + size
            yield Batch(self._present(self._x[start:stop]), None if self._y is None else self._y[start:stop])

    def shuffled(self, batch_size: int | None, generator: torch.Generator, skip: int = 0) -> Iterator[Batch]:
        """Batches for ever, each epoch in a new random order; the last, incomplete batch of an epoch is left out.

        Args:
            batch_size: data points a batch; None or anything above the split's size gives the whole split each time.
            generator: draws the orders; a CPU generator, so that the order does not depend on the device.
            skip: batches that were taken before, and are not made again.
        """
        n = len(self)
        size = n if batch_size is None else min(batch_size, n)
        epochs, skip = divmod(skip, n // size)
        for _ in range(epochs):
            torch.randperm(n, generator=generator)
        while True:
            order = torch.randperm(n, generator=generator).to(self.device)
            for start in range(skip * size, n - size + 1, size):
                yield self.batch(order[start : start + size])
            skip = 0

    def _present(self, raw: Tensor) -> Tensor:
        if self._top is None:
            return raw.clone()  # a model may write into its batch
        x = raw.float().div_(self._top)
        # the same distribution as torch.bernoulli(x), at a quarter of its time
        return torch.rand_like(x).lt_(x) if self._redraw else x


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    """The array on the device; on the CPU it shares memory unless the array is read-only or not contiguous."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(device)

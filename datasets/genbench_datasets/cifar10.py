"""CIFAR-10 (Krizhevsky 2009)."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from genbench.data import Dataset, DatasetSource, DataSpec
from genbench_datasets.files import ensure, unpack, verified
from genbench_datasets.shuffle import shuffled

FOLDER = "cifar-10-batches-py"
#: The file that the batches are published in.
ARCHIVE = "cifar-10-python.tar.gz"


class CIFAR10(DatasetSource):
    """45,000 / 5,000 / 10,000 colour images of 256 levels: the last 5,000 training images are the validation split.

    The Python version's batches in torchvision's layout, `<cache>/cifar-10-batches-py`, are used where they are there,
    or else the archive `<cache>/cifar-10-python.tar.gz`.
    """

    validation: ClassVar[int] = 5_000
    train_checksums: ClassVar[dict[str, str]] = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    }
    test_checksums: ClassVar[dict[str, str]] = {"test_batch": "40351d587109b95175f43aff81a1287e"}

    def load(self) -> Dataset:
        names = [f"{FOLDER}/{file}" for file in (*self.train_checksums, *self.test_checksums)]
        archive = self.cache / ARCHIVE
        ensure("cifar10", self.cache, names, partial(unpack, archive, names) if archive.is_file() else _download)
        x, y = self._read(self.train_checksums)
        return Dataset(
            name="cifar10",
            spec=DataSpec((3, 32, 32), "discrete", levels=256, num_classes=10),
            train=shuffled(x[: -self.validation], y[: -self.validation]),
            validation=shuffled(x[-self.validation :], y[-self.validation :]),
            test=shuffled(*self._read(self.test_checksums)),
            family="cifar10",
        )

    def _read(self, checksums: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
        batches = [
            pickle.loads(verified(self.cache / FOLDER / file, md5), encoding="bytes")  # noqa: S301  # known content
            for file, md5 in checksums.items()
        ]
        x = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
        return x, np.concatenate([batch[b"labels"] for batch in batches]).astype(np.int64)


def _download(folder: Path) -> None:
    import torchvision.datasets

    torchvision.datasets.CIFAR10(folder, download=True)

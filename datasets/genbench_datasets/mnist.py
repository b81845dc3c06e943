"""MNIST (LeCun, Bottou, Bengio & Haffner 1998) and Fashion-MNIST (Xiao, Rasul & Vollgraf 2017)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from genbench.data import Dataset, DatasetSource, DataSpec
from genbench_datasets.files import ensure, verified
from genbench_datasets.shuffle import shuffled

IMAGE_HEADER, LABEL_HEADER = 16, 8  # bytes of an IDX file of 3 dimensions and of 1


class MNIST(DatasetSource):
    """50,000 / 10,000 / 10,000 images of 256 levels: the last 10,000 training images are the validation split.

    IDX files in torchvision's layout, `<cache>/MNIST/raw`, packed (`.gz`) or not, are used where they are there. Each
    split is in a fixed random order, because the files are in none: the two halves of the test set come from different
    writers.
    """

    name: ClassVar[str] = "mnist"
    torchvision_name: ClassVar[str] = "MNIST"
    validation: ClassVar[int] = 10_000
    checksums: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }

    def load(self) -> Dataset:
        ensure(self.name, self.cache, [self._relative(file) for file in self.checksums], self._download)
        x, y = self._read("train")
        test_x, test_y = self._read("t10k")
        return Dataset(
            name=self.name,
            spec=DataSpec((1, 28, 28), "discrete", levels=256, num_classes=10),
            train=shuffled(x[: -self.validation], y[: -self.validation]),
            validation=shuffled(x[-self.validation :], y[-self.validation :]),
            test=shuffled(test_x, test_y),
            family=self.name,
        )

    def _relative(self, file: str) -> str:
        return f"{self.torchvision_name}/raw/{file}"

    def _download(self, folder: Path) -> None:
        import torchvision.datasets

        getattr(torchvision.datasets, self.torchvision_name)(folder, download=True)

    def _read(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        images = self._content(f"{part}-images-idx3-ubyte")
        labels = self._content(f"{part}-labels-idx1-ubyte")
        x = np.frombuffer(images, np.uint8, offset=IMAGE_HEADER).reshape(-1, 1, 28, 28)
        return x, np.frombuffer(labels, np.uint8, offset=LABEL_HEADER).astype(np.int64)

    def _content(self, file: str) -> bytes:
        return verified(self.cache / self._relative(file), self.checksums[file])


class FashionMNIST(MNIST):
    """Fashion-MNIST in the same splits, from `<cache>/FashionMNIST/raw`."""

    name = "fashion-mnist"
    torchvision_name = "FashionMNIST"
    checksums: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    }

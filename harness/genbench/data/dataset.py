"""Datasets as arrays in fixed splits, with a fingerprint of their content."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from genbench.data.spec import DataSpec
from genbench.options import Options

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """One split: `x` `(N, *shape)` as uint8 levels (binary and discrete data) or float32 (continuous data),
    and `y` `(N,)` int64 labels or None."""

    x: np.ndarray
    y: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Dataset:
    """A dataset as it is presented to every model: its spec and its three fixed splits.

    Attributes:
        family: names the feature extractor that fidelity is measured with (`"digits"`, `"mnist"`, …).
        redraw: whether binary pixels are drawn anew from `train`'s grey levels at every access
            (dynamic binarisation); `train.x` then holds grey levels and `grey_levels` says how many.

    Raises:
        ValueError: a split does not fit the spec; the message names the split.
    """

    name: str
    spec: DataSpec
    train: Split
    validation: Split
    test: Split
    family: str
    redraw: bool = False
    grey_levels: int | None = None

    def __post_init__(self) -> None:
        for name in SPLITS:
            split: Split = getattr(self, name)
            if split.x.shape[1:] != self.spec.shape:
                raise ValueError(f"{self.name}: {name} has shape {split.x.shape[1:]}, the spec says {self.spec.shape}")
            dtype = np.float32 if self.spec.kind == "continuous" else np.uint8
            if split.x.dtype != dtype:
                raise ValueError(f"{self.name}: {name} is {split.x.dtype}, {self.spec.kind} data is {np.dtype(dtype)}")
            if len(split) == 0:
                raise ValueError(f"{self.name}: {name} is empty")
            if (split.y is None) != (self.spec.num_classes is None):
                raise ValueError(f"{self.name}: {name} has labels where the spec has none, or the other way round")
            if split.y is not None and self.spec.num_classes is not None:
                self._check_labels(name, split.y, len(split), self.spec.num_classes)
            levels = self.grey_levels if self.redraw and name == "train" else self.spec.levels
            if levels is None:
                if not np.isfinite(split.x).all():
                    raise ValueError(f"{self.name}: {name} has values that are not finite")
            elif split.x.max() >= levels:
                raise ValueError(f"{self.name}: {name} has level {split.x.max()}, the largest is {levels - 1}")

    def _check_labels(self, name: str, y: np.ndarray, n: int, num_classes: int) -> None:
        if y.shape != (n,) or y.dtype != np.int64:
            raise ValueError(f"{self.name}: {name} has labels {y.shape} {y.dtype}, they should be ({n},) int64")
        if y.min() < 0 or y.max() >= num_classes:
            raise ValueError(f"{self.name}: {name} has a label that is not in 0 … {num_classes - 1}")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (first 16 hex digits) of the spec and of every array: equal exactly when the content is."""
        digest = hashlib.sha256(repr((self.spec, self.redraw, self.grey_levels)).encode())
        for name in SPLITS:
            split: Split = getattr(self, name)
            for array in (split.x, split.y):
                if array is not None:
                    digest.update(f"{name}{array.shape}{array.dtype}".encode())
                    digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]


class DatasetSource(ABC):
    """What a dataset plugin subclasses: built as `cls(config, cache)`, asked once to `load`.

    `cache` is the folder that downloads are kept in (`GENBENCH_DATA`, else the platform's cache directory).
    """

    Config: ClassVar[type[Options]] = Options

    def __init__(self, config: Options, cache: Path) -> None:
        self.config = config
        self.cache = cache

    @abstractmethod
    def load(self) -> Dataset:
        """The dataset.

        Raises:
            GenbenchError: it can't be had; the message names the file, what is wrong with it and what to do.
        """

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
    `y` `(N,)` int64 labels or None, and `factors` `(N, F)` int64, the values of the factors that made each data point,
    or None."""

    x: np.ndarray
    y: np.ndarray | None = None
    factors: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    def at(self, index: np.ndarray) -> Split:
        """The data points at `index`, positions or a mask, with all that is known of them."""
        y, factors = (None if array is None else array[index] for array in (self.y, self.factors))
        return Split(self.x[index], y, factors)


@dataclass(frozen=True)
class Dataset:
    """A dataset as it is presented to every model: its spec and its three fixed splits.

    Attributes:
        family: names the feature extractor that fidelity is measured with (`"digits"`, `"mnist"`, …).
        redraw: whether binary pixels are drawn anew from `train`'s grey levels at every access
            (dynamic binarisation); `train.x` then holds grey levels and `grey_levels` says how many.
        anomalies: test points of a class that none of the splits has, or None.
        factor_names: what the columns of the splits' `factors` are called; empty where the factors are not known.
        categorical_factors: those of them whose values have no order.

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
    anomalies: Split | None = None
    factor_names: tuple[str, ...] = ()
    categorical_factors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.factor_names)) != len(self.factor_names):
            raise ValueError(f"{self.name}: two factors have one name: {', '.join(self.factor_names)}")
        if unnamed := set(self.categorical_factors) - set(self.factor_names):
            raise ValueError(f"{self.name}: no factor is called {', '.join(sorted(unnamed))}")
        for name, split in self._splits().items():
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
            self._check_factors(name, split)
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

    def _check_factors(self, name: str, split: Split) -> None:
        count = len(self.factor_names)
        if (split.factors is None) != (count == 0):
            raise ValueError(f"{self.name}: {name} has factors where none are named, or the other way round")
        if split.factors is not None:
            shape, dtype = split.factors.shape, split.factors.dtype
            if shape != (len(split), count) or dtype != np.int64:
                wanted = f"({len(split)}, {count}) int64"
                raise ValueError(f"{self.name}: {name} has factors {shape} {dtype}, they should be {wanted}")

    def _splits(self) -> dict[str, Split]:
        splits: dict[str, Split] = {name: getattr(self, name) for name in SPLITS}
        return splits if self.anomalies is None else splits | {"anomalies": self.anomalies}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (first 16 hex digits) of spec, factors' names and every array: equal exactly when they are."""
        digest = hashlib.sha256(repr((self.spec, self.redraw, self.grey_levels)).encode())
        if self.factor_names:
            digest.update(repr((self.factor_names, self.categorical_factors)).encode())
        for name, split in self._splits().items():
            for array in (split.x, split.y, split.factors):
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

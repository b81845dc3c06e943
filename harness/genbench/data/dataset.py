"""Datasets as arrays in fixed splits, with a fingerprint of their content."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from genbench.data.checks import checked_factors, checked_labels, checked_points
from genbench.data.spec import DataSpec
from genbench.errors import OddData
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
        found: what was found among a user's files, in words (`"40 images in 2 classes"`), which `plan` and `run` print.

    Integers of any width are accepted for levels, labels and factors, and numbers of any width for continuous data.

    Raises:
        OddData: (a `ValueError`) a split does not fit the spec; the message names the split and says what to do.
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
    found: str = ""

    def __post_init__(self) -> None:
        self._check_types()
        if len(set(self.factor_names)) != len(self.factor_names):
            raise OddData(f"two factors have one name: {', '.join(self.factor_names)}")
        if unnamed := set(self.categorical_factors) - set(self.factor_names):
            raise OddData(f"no factor is called {', '.join(sorted(unnamed))}")
        for name, split in self._splits().items():
            object.__setattr__(self, name, self._checked(name, split))

    def _check_types(self) -> None:
        """Refuse fields of another type, which would be found out in the middle of a run."""
        if not isinstance(self.spec, DataSpec):
            raise OddData(f"its spec is a {type(self.spec).__name__}; it should be a genbench.data.DataSpec")
        for name, split in self._splits().items():
            if not isinstance(split, Split):
                raise OddData(f"its {name} is a {type(split).__name__}; it should be a genbench.data.Split")
        for name in ("name", "family", "found"):
            if not isinstance(value := getattr(self, name), str):
                raise OddData(f"its {name} is {value!r:.40}; it should be text")
        for name in ("factor_names", "categorical_factors"):
            names = getattr(self, name)
            if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
                raise OddData(f"its {name} are {names!r:.40}; they should be a tuple of texts")
            object.__setattr__(self, name, tuple(names))

    def _checked(self, name: str, split: Split) -> Split:
        """The split with arrays as `Split` describes them."""
        levels = self.grey_levels if self.redraw and name == "train" else self.spec.levels
        x = checked_points(name, split.x, self.spec, levels)
        y, factors, classes = split.y, split.factors, self.spec.num_classes
        if (y is None) != (classes is None):
            found = "has labels, the spec has no num_classes" if classes is None else "has no labels, the spec has them"
            raise OddData(f"{name} {found}; give both or neither")
        if y is not None and classes is not None:
            y = checked_labels(name, y, len(x), classes)
        if (factors is None) != (not self.factor_names):
            found = "has no factors, factor_names has some" if factors is None else "has factors without factor_names"
            raise OddData(f"{name} {found}; give both or neither")
        if factors is not None:
            factors = checked_factors(name, factors, len(x), len(self.factor_names))
        same = x is split.x and y is split.y and factors is split.factors
        return split if same else Split(x, y, factors)

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

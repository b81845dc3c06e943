"""What every feature extractor is."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from genbench.metrics.base import in_chunks


class Extractor(ABC):
    """Turns data points into the features that fidelity is measured on.

    Attributes:
        name: what users write.
        sha256: the first 16 hex digits of its weights file's SHA-256, or None where it has no weights. Features of
            different hashes are not comparable.
        dims: how many features it makes, or None where that is up to the data.
        chunk: how many data points it works on at once.
    """

    name: str
    sha256: str | None = None
    dims: int | None = None
    chunk: ClassVar[int] = 1000

    def __call__(self, x: Tensor) -> Tensor:
        """Features `(B, d)` float64 of data `x`: `(B, C, H, W)` in [0, 1], or `(B, D)` for `identity`.

        Raises:
            NotApplicable: it can't look at data of this shape.
        """
        self.check(tuple(x.shape[1:]))
        with torch.no_grad():
            return in_chunks(self.features, x, self.chunk)

    @abstractmethod
    def check(self, shape: tuple[int, ...]) -> None:
        """Raise `NotApplicable`, saying what it can look at, unless data points of this `shape` are."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Features `(B, d)` float64 of at most `chunk` data points of a shape that was checked."""


def file_hash(path: Path) -> str:
    """The first 16 hex digits of the file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]

"""Codes whose relation to PCA and to the classes is known, and areas under known ROC curves."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.stats import norm
from sklearn.manifold import trustworthiness
from torch import Tensor

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.metrics.anomaly import auroc
from genbench.metrics.base import Measurement, Subject
from genbench.metrics.latent import Separation
from genbench.metrics.pairs import silhouette
from genbench.model import Encoder
from genbench.selftest.base import Check
from genbench.selftest.coverage import DRAWS, coverage, spread
from genbench.selftest.known import CPU

DIMS, CODE, CLASSES = 6, 3, 4
ROUNDING = 1e-9


def separation() -> Iterator[Check]:
    """Separation by rotated PCA codes and of classes far apart; silhouettes by hand; the area between two normals."""
    yield from _rotated()
    yield from _far_apart()
    yield from _silhouettes()
    yield from _areas()


class _Linear(Encoder):
    """z = xA, in float64."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def encode(self, x: Tensor) -> Tensor:
        return x.double() @ self.matrix


def _rotated() -> Iterator[Check]:
    """PCA codes turned, scaled and moved: every distance is in proportion, and so nothing is different."""
    dataset = _blobs(1.0)
    axes = torch.linalg.eigh(torch.cov(torch.as_tensor(dataset.train.x).double().T)).eigenvectors[:, -CODE:]
    rotation = torch.linalg.qr(torch.randn(CODE, CODE, dtype=torch.float64)).Q
    found = _measured(_Linear(-1e-4 * axes @ rotation), dataset)
    for name in ("knn", "probe", "silhouette", "trustworthiness", "continuity"):
        yield Check(f"rotated PCA: {name}_vs_pca", 0.0, found[f"{name}_vs_pca"].value, tolerance=ROUNDING)

    first = axes[:, -1:]
    found = _measured(_Linear(first), dataset)
    x = dataset.test.x.astype(np.float64)
    codes = x @ first.numpy()
    for name, spaces in (("trustworthiness", (x, codes)), ("continuity", (codes, x))):
        known = float(trustworthiness(*spaces, n_neighbors=5))
        yield Check(f"scikit-learn's {name}", known, found[name].value, tolerance=ROUNDING)


def _far_apart() -> Iterator[Check]:
    """Classes a thousand standard deviations apart."""
    found = _measured(_Linear(torch.eye(DIMS, dtype=torch.float64)), _blobs(1000.0))
    for name in ("knn", "probe"):
        yield Check(f"classes far apart: {name} accuracy", 1.0, found[f"{name}_accuracy"].value, tolerance=ROUNDING)


def _silhouettes() -> Iterator[Check]:
    """Two classes of two points each on a line."""
    y, group = np.array([0, 0, 1, 1]), np.arange(4)
    masses = silhouette(np.array([[0.0], [0.0], [3.0], [3.0]]), y, group)
    yield Check("silhouette of two point masses", 1.0, masses.whole, tolerance=ROUNDING)
    # a point is 1 from its fellow, and on average 3.5 or 2.5 from the other class
    line = silhouette(np.array([[0.0], [1.0], [3.0], [4.0]]), y, group)
    yield Check("silhouette of 0, 1 and 3, 4", 1 - (1 / 3.5 + 1 / 2.5) / 2, line.whole, tolerance=ROUNDING)


def _areas() -> Iterator[Check]:
    """Two unit normals: one's draw is higher than the other's with probability Φ(d'/√2)."""
    for distance in (0.0, 1.0):
        known = float(norm.cdf(distance / math.sqrt(2)))
        draws = [(torch.randn(80).double().numpy(), torch.randn(50).double().numpy() + distance) for _ in range(DRAWS)]
        found = [auroc(*draw) for draw in draws]
        values = [area.value for area in found]
        errors = [area.stderr or math.nan for area in found]
        yield Check.of_mean(f"AUROC, d' = {distance:g}", known, values)
        yield spread(f"AUROC, d' = {distance:g}: stderr² / variance", values, errors)
        intervals = [(value - 1.96 * error, value + 1.96 * error) for value, error in zip(values, errors, strict=True)]
        yield coverage(f"AUROC, d' = {distance:g}: coverage", known, intervals)


def _blobs(apart: float) -> Dataset:
    """Normal classes around random centres `apart` times as far apart as the points of a class."""
    centres = apart * torch.randn(CLASSES, DIMS)

    def split(n: int) -> Split:
        y = torch.arange(n) % CLASSES
        return Split((centres[y] + torch.randn(n, DIMS)).numpy(), y.numpy())

    data = DataSpec((DIMS,), "continuous", num_classes=CLASSES)
    return Dataset("blobs", data, split(300), split(100), split(200), family="blobs")


def _measured(model: Encoder, dataset: Dataset) -> dict[str, Measurement]:
    train, validation, test = (DeviceSplit(dataset, name, CPU) for name in ("train", "validation", "test"))
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(model, dataset.spec, dataset, train, validation, test, CPU, seed=0, folder=Path(folder))
        return {m.name: m for m in Separation(Separation.Config()).measure(subject)}

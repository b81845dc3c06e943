"""Feature extractors: what fidelity is measured with, one per family of datasets."""

from __future__ import annotations

from pathlib import Path

import torch

from genbench.data import Dataset
from genbench.errors import UsageError, unknown
from genbench.metrics.extractors.base import Extractor
from genbench.metrics.extractors.inception import Inception
from genbench.metrics.extractors.small import MAX_COORDINATES, Identity, ShippedNetwork

EXTRACTORS = ("digits", "identity", "inception", "mnist")

__all__ = ["EXTRACTORS", "Extractor", "extractor_for", "load_extractor"]

_BY_FAMILY = {"digits": "digits", "mnist": "mnist", "fashion-mnist": "mnist"}
_BY_SHAPE: dict[tuple[int, ...], str] = {(1, 8, 8): "digits", (1, 28, 28): "mnist"}


def extractor_for(dataset: Dataset) -> str | None:
    """The extractor that a dataset's fidelity is measured with by default, or None: none that is shipped fits, and
    `inception` has to be asked for."""
    shape = dataset.spec.shape
    if len(shape) == 1:
        return "identity" if shape[0] <= MAX_COORDINATES else None
    return _BY_FAMILY.get(dataset.family) or _BY_SHAPE.get(shape)


def load_extractor(name: str, device: torch.device, weights: Path | None = None) -> Extractor:
    """The extractor of that `name` on the device.

    Args:
        name: one of `EXTRACTORS`.
        device: where it runs.
        weights: for `inception` only: a local file in place of the published weights.

    Raises:
        UsageError: there is no such extractor, or `weights` are not for it.
        GenbenchError: its weights can't be had.
    """
    if name not in EXTRACTORS:
        raise unknown("feature extractor", name, EXTRACTORS)
    if name == "inception":
        return Inception(device, weights)
    if weights is not None:
        raise UsageError(f"the extractor {name} takes no weights={weights}; they are an option of inception")
    return Identity() if name == "identity" else ShippedNetwork(name, device)

"""A run's data, where a metric or a picture finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from genbench.data import Dataset, DatasetSource
from genbench.data.device import DeviceSplit
from genbench.data.loading import load
from genbench.data.views import ViewOptions
from genbench.metrics.base import Subject
from genbench.plugins.catalogue import import_target


def load_dataset(name: str, target: str, config: dict[str, Any], view: dict[str, Any]) -> Dataset:
    """The dataset of `target` (`"module:Class"`) under its view, with the options that a record or a spec has.

    Args:
        name: what messages call the dataset.
        target: names its class.
        config: the class's own options.
        view: those of the view.

    Raises:
        GenbenchError: the dataset can't be had.
    """
    cls = import_target(target, DatasetSource)
    return load(name, cls, cls.Config.model_validate(config), ViewOptions.model_validate(view))


def make_subject(dataset: Dataset, device: torch.device, seed: int, folder: Path) -> Subject:
    """A subject on `device` that has no model yet."""
    return Subject(
        model=None,
        data=dataset.spec,
        dataset=dataset,
        train=DeviceSplit(dataset, "train", device),
        validation=DeviceSplit(dataset, "validation", device),
        test=DeviceSplit(dataset, "test", device),
        device=device,
        seed=seed,
        folder=folder,
    )

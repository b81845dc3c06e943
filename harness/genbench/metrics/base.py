"""The metric contract: one question, asked of every model through its capabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from genbench.data import Dataset, DataSpec
from genbench.data.device import DeviceSplit
from genbench.options import Options

Kind = Literal["exact", "lower_bound", "upper_bound", "estimate"]
Better = Literal["higher", "lower", "neither"]


class NotApplicable(Exception):
    """The question makes no sense for this model or this data; the message says why."""


@dataclass(frozen=True)
class Measurement:
    """One number with what it is and how sure it is.

    Attributes:
        name: e.g. `"bits_per_dim"`; the column of the table.
        value: the number.
        kind: `"exact"`, a `"lower_bound"` or `"upper_bound"` on what the name says, or an `"estimate"`.
        better: which direction is better, or `"neither"`.
        unit: `"nats"`, `"bits/dim"`, `"images/s"`, … or empty.
        stderr: standard error over the test data (not over seeds), or None where none is known.
        settings: what else was decided when it was measured (K, n, …), in the metric's own words.
    """

    name: str
    value: float
    kind: Kind
    better: Better
    unit: str = ""
    stderr: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Subject:
    """What is measured: a trained model, in evaluation mode, with the data it was trained on.

    Attributes:
        model: the trained model, or a stand-in with the capabilities of a reference row.
        data: its data's spec.
        dataset: the dataset as arrays.
        train, validation, test: its splits on the device; `split.x()` is `(N, *shape)` float32.
        device: where the model is.
        seed: seeds every draw that a metric makes; `generator()` is a fresh one.
        folder: where a metric may leave artifacts (`codes.npz`, …).
        training: what the training loop counted: `images_per_s`, `flops_per_image`, `peak_memory_bytes`, …
        memo: results that metrics share within one run, e.g. features of the samples.
    """

    model: Any
    data: DataSpec
    dataset: Dataset
    train: DeviceSplit
    validation: DeviceSplit
    test: DeviceSplit
    device: torch.device
    seed: int
    folder: Path
    training: dict[str, Any] = field(default_factory=dict)
    memo: dict[Any, Any] = field(default_factory=dict)


class Metric(ABC):
    """One question. Built as `cls(config)`.

    Attributes:
        Config: its options; all of them are part of the protocol.
        requires: the capabilities of which a model needs at least one.
    """

    Config: ClassVar[type[Options]] = Options
    requires: ClassVar[tuple[type, ...]] = ()
    names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Options) -> None:
        self.config = config

    def protocol(self, dataset: Dataset) -> dict[str, Any]:  # noqa: ARG002  # overridden by those that need it
        """What two numbers of this metric must agree in before they may be compared, beyond the run's own protocol:
        the options, and hashes of anything that is loaded (a feature extractor's weights)."""
        return self.config.model_dump(mode="json")

    @abstractmethod
    def measure(self, subject: Subject) -> list[Measurement]:
        """The numbers. The harness has put the model in evaluation mode, switched gradients off and seeded torch.

        Raises:
            NotApplicable: the model lacks what is needed, or the data makes the question senseless.
        """


def in_chunks(function, x: Tensor, size: int = 1024) -> Tensor:
    """`function` over `x` in chunks of `size` along the first dimension, concatenated."""
    return torch.cat([function(part) for part in x.split(size)])

"""The metric contract: one question, asked of every model through its capabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from genbench.data import Dataset, DataSpec
from genbench.data.device import DeviceSplit
from genbench.errors import GenbenchError
from genbench.options import Options

Kind = Literal["exact", "lower_bound", "upper_bound", "estimate"]
Better = Literal["higher", "lower", "neither"]

#: Seeds what has to be the same in every run. No run's own seed is likely to be this one: a sampler that draws data
#: points with the run's seed must not draw those that were chosen to be compared with.
PROTOCOL_SEED = 2**31 - 1


class NotApplicable(Exception):
    """The question makes no sense for this model or this data; the message says why."""


class MetricError(GenbenchError):
    """A model returned something that can't be measured; the message names the model, its method and what came back."""


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
        interval: `(low, high)`, a 95% interval, where there is a better one than `value` ± 1.96 `stderr`.
        flags: why the number is not to be believed, each in a few words; a flagged number is shown and not ranked.
        notes: what a reader should know beside the number, each in a few words; a note disqualifies nothing.
        points: pseudo-values `(g,)` of the number over the groups that `genbench.metrics.resampling.point_groups` makes
            of the test (or reference) points, which are the same for all models; their mean is the number, but for a
            bias of order 1/n, and their standard deviation over the root of g is its standard error over those points.
            None where the number is not about points.
    """

    name: str
    value: float
    kind: Kind
    better: Better
    unit: str = ""
    stderr: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    points: np.ndarray | None = None


@dataclass
class Subject:
    """What is measured: a trained model, in evaluation mode, with the data it was trained on.

    Attributes:
        model: the trained model, or a stand-in with the capabilities of a reference row.
        data: its data's spec.
        dataset: the dataset as arrays.
        train, validation, test: its splits on the device; `split.x()` is `(N, *shape)` float32.
        device: where the model is.
        seed: seeds every draw that a metric makes.
        folder: where a metric may leave artifacts (`codes.npz`, …).
        training: what the training loop counted: `images_per_s`, `flops_per_image`, `peak_memory_bytes`, …
        memo: results that metrics share within one run, e.g. features of the samples.
        progress: told how far a long measurement is, as a fraction.
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
    progress: Callable[[float], None] = lambda _: None


class Metric(ABC):
    """One question. Built as `cls(config)`.

    Attributes:
        Config: its options; all of them are part of the protocol.
        requires: the capabilities of which a model needs at least one; empty where none is needed.
        names: the names of the measurements that it can give, in the order of the table's columns.
        version: raised with every change after which its numbers are not what they were.
        timed: it measures speed, so that its numbers depend on what computes.
    """

    Config: ClassVar[type[Options]] = Options
    requires: ClassVar[tuple[type, ...]] = ()
    names: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    timed: ClassVar[bool] = False

    def __init__(self, config: Options) -> None:
        self.config = config

    def protocol(self, dataset: Dataset) -> dict[str, Any]:
        """What two numbers of this metric must agree in before they may be compared, beyond the run's own protocol:
        the options, and hashes of anything that is loaded (a feature extractor's weights)."""
        return self.config.model_dump(mode="json")

    def quick(self) -> dict[str, Any] | None:
        """Values of options that make it quick enough for every point of the curve; None: it is not measured there."""
        return None

    @abstractmethod
    def measure(self, subject: Subject) -> list[Measurement]:
        """The numbers. The harness has put the model in evaluation mode, switched gradients off and seeded torch.

        Raises:
            NotApplicable: the model lacks what is needed, or the data makes the question senseless.
        """


def in_chunks(function: Callable[[Tensor], Tensor], x: Tensor, size: int = 1024) -> Tensor:
    """`function` over `x` in chunks of `size` along the first dimension, concatenated."""
    return torch.cat([function(part) for part in x.split(size)])


def choose(split: DeviceSplit, n: int | None = None) -> Tensor:
    """Positions `(min(n, N),)` of data points of a split, on its device; all of them where `n` is None.

    In one random order, which is the same in every run: fewer points are the first of more, and a split that is
    sorted by class is sampled fairly.
    """
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(PROTOCOL_SEED))
    return order[:n].to(split.device)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, torch's global generators start from `seed`; outside, they go on as if nothing had been drawn."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def checked(model: Any, method: str, value: Any, shape: tuple[int | None, ...]) -> Tensor:
    """`value`, which `model.method` returned, if it is a tensor of this shape (None: any size) of finite numbers.

    Raises:
        MetricError: it isn't.
    """
    source = f"{type(model).__name__}.{method}"
    if not isinstance(value, Tensor):
        raise MetricError(f"{source} returned {type(value).__name__}, not a tensor")
    if len(value.shape) != len(shape) or any(
        want is not None and have != want for have, want in zip(value.shape, shape, strict=True)
    ):
        wanted = str(shape).replace("None", "any")
        raise MetricError(f"{source} returned shape {tuple(value.shape)}, not {wanted}")
    if not value.isfinite().all():
        count = {"NaN": value.isnan(), "inf": value == torch.inf, "-inf": value == -torch.inf}
        found = ", ".join(f"{int(mask.sum())} {name}" for name, mask in count.items() if mask.any())
        raise MetricError(f"{source} returned {found} among {value.numel()} numbers")
    return value

"""What a plugin's hooks yield: names with import targets, which are imported only when they run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelEntry:
    """A model that a plugin offers.

    Attributes:
        name: what users write, e.g. `"vae"`.
        target: `"module:Class"`, a subclass of `genbench.model.Model`.
        family: `"ae"`, `"vae"`, `"ebm"`, `"flow"`, `"autoregressive"`, `"gan"`, `"baseline"` or one of your own.
        summary: one line.
        reference: author and year of the paper.
    """

    name: str
    target: str
    family: str
    summary: str
    reference: str = ""


@dataclass(frozen=True)
class DatasetEntry:
    """A dataset that a plugin offers; `target` is a subclass of `genbench.data.DatasetSource`."""

    name: str
    target: str
    summary: str
    reference: str = ""


@dataclass(frozen=True)
class MetricEntry:
    """A metric that a plugin offers; `target` is a subclass of `genbench.metrics.Metric`.

    Attributes:
        default: whether it is measured when the user names no metrics.
    """

    name: str
    target: str
    summary: str
    reference: str = ""
    default: bool = False


@dataclass(frozen=True)
class SelftestEntry:
    """A proof that a plugin ships; `target` is `"module:function"`, a function without arguments that yields
    `genbench.Check`s. Torch is seeded before it is called."""

    name: str
    target: str
    summary: str


@dataclass(frozen=True)
class ExecutorEntry:
    """What carries runs out; `target` is a subclass of `genbench.runner.executor.Executor`."""

    name: str
    target: str
    summary: str


Entry = ModelEntry | DatasetEntry | MetricEntry | SelftestEntry | ExecutorEntry

"""What planning asks of a worker process, and what it gets back; torch-free, since both sides hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.plan.references import Reference


@dataclass(frozen=True)
class VisibleGpu:
    """A GPU that runs may use.

    Attributes:
        token: what `CUDA_VISIBLE_DEVICES` calls it.
        name: what everyone on this machine calls it.
    """

    token: str
    name: str


@dataclass(frozen=True)
class Wanted:
    """References with the targets that the catalogue has for them."""

    models: list[tuple[Reference, str]]
    datasets: list[tuple[Reference, str]]
    metrics: list[tuple[Reference, str]]
    device: str
    files: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class PreparedModel:
    """A model reference, validated; `refusals` says for each dataset label that it can't be trained on, why."""

    name: str
    label: str
    config: dict[str, Any]
    capabilities: list[str]
    refusals: dict[str, str]


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset reference, loaded.

    Attributes:
        metrics: what each metric adds to the protocol.
        found: what was found, in words, where the data are a user's files; else empty.
    """

    name: str
    label: str
    config: dict[str, Any]
    view: dict[str, Any]
    fingerprint: str
    metrics: dict[str, dict[str, Any]]
    found: str = ""


@dataclass(frozen=True)
class MissingDataset:
    """A dataset that can't be had, and why; `usage` says that what was asked for is at fault."""

    data: str
    reason: str
    usage: bool


@dataclass(frozen=True)
class Prepared:
    """Everything that the plan needs to know.

    Attributes:
        missing: the datasets that can't be had.
        calibrated: whether a metric that judges samples is among those wanted, so that reference rows make sense.
        timed: the metrics of speed.
    """

    models: list[PreparedModel]
    datasets: list[PreparedDataset]
    metrics: dict[str, dict[str, Any]]
    device: str
    hardware: dict[str, Any]
    versions: dict[str, str]
    calibrated: bool
    timed: list[str]
    missing: list[MissingDataset] = field(default_factory=list)

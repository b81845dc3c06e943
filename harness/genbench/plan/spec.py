"""One run as plain data: what the parent decides and a worker process carries out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from json import dumps  # a model may replace the module's
from typing import Any, Literal

#: The family of the rows that calibrate a table, with the models that stand for them.
REFERENCE_FAMILY = "reference"
REFERENCE_ROWS = ("real (test split)", "train copy", "noise")

Select = Literal["best", "last"]
Precision = Literal["fp32", "tf32", "bf16"]


@dataclass(frozen=True)
class RunSpec:
    """One model with one config on one dataset view, one budget, one seed.

    Attributes:
        label: the model reference with the options that differ from their defaults.
        target: `"module:Class"` of the model; empty for a reference row.
        plugin: distribution and version of the plugin that offers the model.
        data: the dataset reference with options and view.
        dataset_target: `"module:Class"` of the dataset.
        fingerprint: hash of the dataset's content.
        metrics: options of each metric, by name, with its target in `metric_targets`.
        protocol: all that must agree before two numbers may be compared.
        files: local plugin files, which a worker imports first.
        compile: whether what `update` does is compiled.
    """

    model: str
    family: str
    label: str
    config: dict[str, Any]
    target: str
    plugin: tuple[str, str]
    dataset: str
    data: str
    dataset_config: dict[str, Any]
    dataset_target: str
    view: dict[str, Any]
    fingerprint: str
    budget: str
    seed: int
    precision: Precision
    device: str
    select: Select
    metrics: dict[str, dict[str, Any]]
    metric_targets: dict[str, str]
    protocol: dict[str, Any]
    files: tuple[str, ...] = ()
    compile: bool = False

    @cached_property
    def key(self) -> str:
        """Hash (16 hex digits) of what is run; it names the run's folder."""
        hashed = self.plain()
        for name in ("label", "data", "target", "dataset_target", "metric_targets", "protocol", "files"):
            del hashed[name]
        if not self.compile:  # as it was before there was a choice
            del hashed["compile"]
        hashed["device"] = self.device.partition(":")[0]
        return canonical_hash(hashed)[:16]

    @cached_property
    def protocol_hash(self) -> str:
        """Hash (12 hex digits) of the protocol."""
        return canonical_hash(self.protocol)[:12]

    def plain(self) -> dict[str, Any]:
        """The fields, as they are: copying what they hold, as `asdict` does, takes seconds for thousands of runs."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def is_reference(self) -> bool:
        """Whether this is a reference row, not a model."""
        return self.family == REFERENCE_FAMILY

    @property
    def title(self) -> str:
        """What the run is called in progress displays and messages."""
        return f"{self.label} on {self.data}, seed {self.seed}"


def canonical_hash(value: Any) -> str:
    """SHA-256 of the value as JSON with sorted keys."""
    return hashlib.sha256(dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""One run as plain data: what the parent decides and a worker process carries out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from json import dumps  # a model may replace the module's
from math import isfinite
from typing import Any, Literal

#: The family of the rows that calibrate a table, with the models that stand for them.
REFERENCE_FAMILY = "reference"
REFERENCE_ROWS = ("real (test split)", "train copy", "noise")

Select = Literal["best", "last"]
Precision = Literal["fp32", "tf32", "bf16"]


#: The fields that tell one run from another. Neither its metrics, which can be measured at any time, nor where its data
#: lie are among them.
KEY = (
    *("model", "family", "config", "plugin", "source", "dataset", "view", "fingerprint", "budget", "seed"),
    *("precision", "device", "select", "compile"),
)


@dataclass(frozen=True)
class RunSpec:
    """One model with one config on one dataset view, one budget, one seed.

    Attributes:
        label: the model reference with the options that differ from their defaults.
        target: `"module:Class"` of the model; empty for a reference row.
        plugin: distribution and version of the plugin that offers the model.
        source: hash of the model's source files (see `genbench.plugins.sources`); empty for a reference row.
        data: the dataset reference with options and view.
        dataset_target: `"module:Class"` of the dataset.
        fingerprint: hash of the dataset's content.
        metrics: options of each metric, by name, with its target in `metric_targets`.
        protocol: all that must agree before any numbers of two runs may be compared.
        metric_protocols: what must agree beside it before two numbers of a metric may be compared, by the metric.
        hardware: the names of what computes.
        files: local plugin files, which a worker imports first.
        compile: whether what `update` does is compiled.
        measure: the metrics that are measured on the finished run, from its checkpoint; empty where the run is carried
            out as a whole.
    """

    model: str
    family: str
    label: str
    config: dict[str, Any]
    target: str
    plugin: tuple[str, str]
    source: str
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
    metric_protocols: dict[str, dict[str, Any]]
    hardware: dict[str, Any]
    files: tuple[str, ...] = ()
    compile: bool = False
    measure: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Hash (16 hex digits) of what is run; it names the run's folder."""
        return run_key({name: getattr(self, name) for name in KEY})

    @cached_property
    def protocol_hash(self) -> str:
        """Hash (12 hex digits) of the protocol."""
        return canonical_hash(self.protocol)[:12]

    def value_protocol(self, metric: str) -> str:
        """Hash (12 hex digits) of all that must agree before two numbers of this metric may be compared."""
        return value_protocol(self.protocol_hash, metric, self.metric_protocols[metric])

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


def run_key(spec: Mapping[str, Any]) -> str:
    """Hash (16 hex digits) of the fields `KEY` of a run."""
    hashed = {name: spec[name] for name in KEY} | {"device": spec["device"].partition(":")[0]}
    return canonical_hash(hashed)[:16]


def value_protocol(protocol_hash: str, metric: str, settings: Mapping[str, Any]) -> str:
    """Hash (12 hex digits) of what numbers of a metric depend on, in a run with a protocol of this hash."""
    return canonical_hash([protocol_hash, metric, settings])[:12]


def canonical_hash(value: Any) -> str:
    """SHA-256 of the value as JSON with sorted keys; what is no finite number counts as null, as records write it."""
    try:
        text = dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = dumps(_finite(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value

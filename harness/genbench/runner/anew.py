"""Measuring a finished run again, from its checkpoint: what is to be measured, and what becomes of its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from genbench.files import is_plain
from genbench.plan.spec import REFERENCE_FAMILY, RunSpec
from genbench.results.consistency import checksum
from genbench.results.schema import Record, Unmeasured
from genbench.results.store import Store


def to_measure(spec: RunSpec, record: Record, retry: str = "failed") -> tuple[str, ...]:
    """The metrics of a run that its finished record lacks, or has under another protocol, or that failed and are to be
    retried. Speed belongs to the machine that trained, and counts as measured whatever machine asks."""
    failed = {gap.metric for gap in record.unmeasured if gap.status == "failed"} if retry == "failed" else set()
    return tuple(name for name in spec.metrics if name in failed or not _has(record, name, spec))


def _has(record: Record, name: str, spec: RunSpec) -> bool:
    known, asked = record.metric_protocols.get(name), spec.metric_protocols[name]
    return known is not None and (known == asked or "hardware" in asked)


def can_be_measured(record: Record, store: Store) -> bool:
    """True where there is something to measure: a reference row, or a model's weights."""
    name = record.artifacts.get("checkpoint")
    return record.spec.family == REFERENCE_FAMILY or (name is not None and is_plain(store.folder(record.key) / name))


def joined(spec: RunSpec, record: Record) -> RunSpec:
    """The spec with the metrics of the record beside those that are measured again."""
    return replace(
        spec,
        metrics=_joined(record.spec.metrics, spec.metrics, spec.measure),
        metric_protocols=_joined(record.metric_protocols, spec.metric_protocols, spec.measure),
    )


def training(record: Record) -> dict[str, Any]:
    """The counts of the training loop, as `Subject.training` has them."""
    used = record.budget.used
    return {
        "images_per_s": used.samples / used.seconds if used.samples and used.seconds else None,
        "flops_per_image": used.flops / used.samples if used.flops and used.samples else None,
        "peak_memory_bytes": used.memory_bytes,
    }


def not_measured(record: Record, spec: RunSpec, reason: str) -> Record:
    """The record of a run whose metrics `spec.measure` could not be measured: its other numbers stand."""
    whole = joined(spec, record)
    kept = [value for value in record.metrics if value.metric not in spec.measure]
    gaps = [Unmeasured(metric=name, names=[name], status="failed", reason=reason) for name in spec.measure]
    return record.model_copy(
        update={
            "spec": record.spec.model_copy(update={"metrics": whole.metrics}),
            "metric_protocols": whole.metric_protocols,
            "metrics": kept,
            "unmeasured": [gap for gap in record.unmeasured if gap.metric not in spec.measure] + gaps,
            "checksum": checksum(kept),
        }
    )


def _joined(old: Mapping[str, Any], new: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {**old, **{name: new[name] for name in names}}

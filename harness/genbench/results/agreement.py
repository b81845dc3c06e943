"""Two records of one run that was carried out twice: in what they differ, beside what may differ between two honest
executions."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from genbench.results.schema import Record, Value

#: Numbers agree that differ by less than this part of themselves, or by less than this part of their standard error:
#: not every machine takes a sum in the same order.
ROUNDING, OF_ERROR = 1e-6, 1e-3
#: Units of time, speed, memory and energy, in which no two executions are the same.
VARYING_UNITS = ("s", "ms", "MiB", "J")
#: Characters of a value that a difference shows.
SHOWN = 60


def differences(one: Record, other: Record) -> Iterator[tuple[str, str, str]]:
    """In what two records of one key differ, each as its name, what the one says, and what the other does.

    Not compared are what varies from one execution to the next (seconds, speed, memory, provenance, the words of an
    error), what lies beside the record, and the metrics that one of them has beyond those of the other.
    """
    if not (extends(one, other) or extends(other, one)):
        yield "metrics", ", ".join(one.spec.metrics), ", ".join(other.spec.metrics)
    both = one.spec.metrics.keys() & other.spec.metrics.keys()
    claims, others = _claims(one, both), _claims(other, both)
    slack = {value.name: OF_ERROR * (value.stderr or 0.0) for value in (*one.metrics, *other.metrics)}
    for name in dict.fromkeys([*claims, *others]):
        yield from _differing(name, claims.get(name), others.get(name), slack.get(name.partition(" ")[0], 0.0))


def extends(one: Record, other: Record) -> bool:
    """True where a record has all the metrics of another one of its run."""
    return one.spec.metrics.keys() >= other.spec.metrics.keys()


def _claims(record: Record, metrics: Collection[str]) -> dict[str, Any]:
    """All that another execution of the run, with these metrics, should come to as well, as plain data."""
    spec = record.spec.model_dump()
    spec["metrics"] = {name: options for name, options in spec["metrics"].items() if name in metrics}
    spec["device"] = record.spec.device.partition(":")[0]  # which of the machine's GPUs it was does not matter
    budget, error = record.budget, record.error
    claims: dict[str, Any] = {"status": record.status, "spec": spec, "protocol": record.protocol}
    claims["metric_protocols"] = {name: own for name, own in record.metric_protocols.items() if name in metrics}
    claims |= {"protocol_hash": record.protocol_hash, "capabilities": record.capabilities}
    claims |= {"budget": budget.allowed.model_dump(), "selected": record.selected}
    claims |= {"steps": budget.used.steps, "samples": budget.used.samples}
    claims["error"] = None if error is None else f"{error.type} in {error.phase}"
    for value in record.metrics:
        claims |= _claims_of(value) if value.metric in metrics else {}
    for gap in record.unmeasured:
        claims |= dict.fromkeys(gap.names, gap.status) if gap.metric in metrics else {}
    points = [(p.fraction, p.steps, p.samples, p.objective, p.scalars, p.metrics) for p in record.curve]
    return claims | {"curve": points}


def _claims_of(value: Value) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": value.kind, "better": value.better, "unit": value.unit, "protocol": value.protocol}
    if value.unit in VARYING_UNITS or value.unit.endswith("/s"):
        return {f"{value.name} is": about}
    about |= {"settings": value.settings, "flags": value.flags, "notes": value.notes, "stderr": value.stderr}
    return {value.name: value.value, f"{value.name} from": value.interval, f"{value.name} is": about}


def _differing(name: str, one: Any, other: Any, slack: float) -> Iterator[tuple[str, str, str]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            yield from _differing(f"{name}.{key}", one.get(key), other.get(key), 0.0)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for place, (item, other_item) in enumerate(zip(one, other, strict=True)):
            yield from _differing(f"{name}.{place}", item, other_item, slack)
    elif not _agree(one, other, slack):
        yield name, _said(one), _said(other)


def _agree(one: Any, other: Any, slack: float) -> bool:
    if float in (type(one), type(other)) and isinstance(one, int | float) and isinstance(other, int | float):
        close = math.isclose(one, other, rel_tol=ROUNDING, abs_tol=slack)
        return close or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def _said(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"

"""Asking every metric about one model: a metric that fails, or does not apply, stops none of the others."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from genbench.metrics.base import Measurement, Metric, NotApplicable, Subject, seeded
from genbench.plan.spec import canonical_hash
from genbench.results.schema import Unmeasured, Value


def measure(
    subject: Subject, metrics: dict[str, Metric], protocol: dict[str, Any], report: Callable[[str], None]
) -> Iterator[Value | Unmeasured]:
    """The numbers of all `metrics`, one metric after the other, and those that could not be had with the reason.

    Args:
        subject: the model, in evaluation mode.
        metrics: by name.
        protocol: the run's; what a value's own protocol adds to it is its metric's part only.
        report: told each metric's name before it is measured.
    """
    shared = {name: part for name, part in protocol.items() if name != "metrics"}
    for name, metric in metrics.items():
        report(name)
        own = canonical_hash(shared | {"metric": name, "settings": protocol["metrics"].get(name)})[:12]
        try:
            found = [_value(measurement, name, own) for measurement in ask(metric, subject)]
        except NotApplicable as error:
            yield Unmeasured(metric=name, names=list(metric.names), status="not_applicable", reason=str(error))
        except Exception as error:
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}"
            yield Unmeasured(metric=name, names=list(metric.names), status="failed", reason=reason)
        else:
            yield from found


def ask(metric: Metric, subject: Subject) -> list[Measurement]:
    """One metric's numbers, drawn with the subject's seed, without gradients.

    Raises:
        NotApplicable: the model has none of the capabilities that the metric needs, or the metric says so.
        ValueError: a number is not finite.
        Exception: whatever the metric or the model raises.
    """
    if metric.requires and not isinstance(subject.model, metric.requires):
        needed = " or ".join(capability.__name__ for capability in metric.requires)
        raise NotApplicable(f"the model is no {needed}")
    with seeded(subject.seed, subject.device), torch.no_grad():
        measurements = metric.measure(subject)
    for measurement in measurements:
        for what, number in _numbers(measurement):
            if not math.isfinite(number):
                raise ValueError(f"{what} came out as {number}")
    return measurements


def _numbers(measurement: Measurement) -> Iterator[tuple[str, float]]:
    """The value and what is known of its error, each with what it is."""
    yield measurement.name, measurement.value
    if measurement.stderr is not None:
        yield f"the standard error of {measurement.name}", measurement.stderr
    for end in measurement.interval or ():
        yield f"the interval of {measurement.name}", end


def quick_metrics(metrics: dict[str, Metric]) -> dict[str, Metric]:
    """The metrics that are also measured on the curve, with the options that make them quick."""
    return {
        name: type(metric)(metric.config.model_copy(update=quick))
        for name, metric in metrics.items()
        if (quick := metric.quick()) is not None
    }


def measure_quickly(subject: Subject, metrics: dict[str, Metric]) -> dict[str, float]:
    """The numbers of the curve, by column: on the validation split in place of the test split."""
    found: dict[str, float] = {}
    seen = replace(subject, test=subject.validation, memo={})
    for metric in metrics.values():
        try:
            found |= {measurement.name: measurement.value for measurement in ask(metric, seen)}
        except NotApplicable:
            continue
        except Exception:
            traceback.print_exc()
    return found


def _value(measurement: Measurement, metric: str, protocol: str) -> Value:
    return Value(
        name=measurement.name,
        metric=metric,
        value=measurement.value,
        stderr=measurement.stderr,
        kind=measurement.kind,
        better=measurement.better,
        unit=measurement.unit,
        protocol=protocol,
        settings=measurement.settings,
        interval=measurement.interval,
        flags=measurement.flags,
    )

"""Asking every metric about one model: a metric that fails, or does not apply, stops none of the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from pydantic import ValidationError

from genbench import clocks
from genbench.metrics.base import Measurement, Metric, NotApplicable, Subject, seeded
from genbench.metrics.resampling import POINT_GROUPS
from genbench.plain import NAME, error_message, error_text, kind_text, one_number, plain_line, plain_value
from genbench.results.points import packed
from genbench.results.schema import Unmeasured, Value
from genbench.runner.log import say_traceback
from genbench.runner.overstayed import Overstayed


def measure(
    subject: Subject,
    metrics: dict[str, Metric],
    protocols: dict[str, str],
    report: Callable[[str], None],
    took: Callable[[str, float], None] = lambda _name, _seconds: None,
) -> Iterator[Value | Unmeasured]:
    """The numbers of all `metrics`, one metric after the other, and those that could not be had with the reason.

    Args:
        subject: the model, in evaluation mode.
        metrics: by name.
        protocols: the hash of all that each metric's numbers depend on, by the metric.
        report: told each metric's name before it is measured.
        took: told each metric's name and the seconds that it took.
    """
    for name, metric in metrics.items():
        report(name)
        started = clocks.perf_counter()
        try:
            found = [_value(measurement, name, protocols[name]) for measurement in ask(metric, subject)]
        except NotApplicable as error:
            yield unmeasured(name, metric, "not_applicable", error_message(error))
        except Overstayed:
            raise
        except BaseException as error:  # a metric that ends its process ends the metric
            say_traceback(error)
            yield unmeasured(name, metric, "failed", error_text(error))
        else:
            yield from found
        finally:
            took(name, clocks.perf_counter() - started)


def unmeasured(
    name: str, metric: Metric | type[Metric], status: Literal["failed", "not_applicable"], reason: str
) -> Unmeasured:
    """The metric `name`, which gave no number, with its columns as far as it names any."""
    try:
        names = [plain_line(column, NAME) for column in metric.names]
    except Exception:  # a third party's class may have anything in place of names
        names = []
    return Unmeasured(metric=plain_line(name, NAME), names=names, status=status, reason=reason)


def ask(metric: Metric, subject: Subject) -> list[Measurement]:
    """One metric's numbers as floats, drawn with the subject's seed, without gradients.

    Raises:
        NotApplicable: the model has none of the capabilities that the metric needs, or the metric says so.
        TypeError: the metric gave something else than measurements of numbers.
        ValueError: a number is not finite.
        Exception: whatever the metric or the model raises.
    """
    if metric.requires and not isinstance(subject.model, metric.requires):
        needed = " or ".join(capability.__name__ for capability in metric.requires)
        raise NotApplicable(f"the model is no {needed}")
    with seeded(subject.seed, subject.device), torch.no_grad():
        found = metric.measure(subject)
        if found is None:
            raise TypeError("`measure` returned None; it must return a list of Measurements")
        return [_finite(measurement) for measurement in found]


def _finite(measurement: Measurement) -> Measurement:
    """The measurement with its numbers as floats."""
    if not isinstance(measurement, Measurement):
        raise TypeError(f"`measure` returned a list with {kind_text(measurement)} in it, not a Measurement")
    name, interval = plain_line(measurement.name, NAME), measurement.interval
    if interval is not None:
        low, high = (_number(end, f"the interval of {name}") for end in interval)
        interval = (low, high)
    return replace(
        measurement,
        value=_number(measurement.value, name),
        stderr=None if measurement.stderr is None else _number(measurement.stderr, f"the standard error of {name}"),
        interval=interval,
    )


def _number(value: object, what: str) -> float:
    number = one_number(value)
    if number is None:
        raise TypeError(f"{what} is {kind_text(value)}, not a number")
    if not math.isfinite(number):
        raise ValueError(f"{what} came out as {number}")
    return number


def quick_metrics(metrics: dict[str, Metric]) -> dict[str, Metric]:
    """The metrics that are also measured on the curve, with the options that make them quick."""
    found: dict[str, Metric] = {}
    for name, metric in metrics.items():
        try:
            quick = metric.quick()
            if quick is not None:
                found[name] = type(metric)(metric.config.model_copy(update=quick))
        except Overstayed:
            raise
        except BaseException as error:  # the curve does without it
            say_traceback(error)
    return found


def measure_quickly(subject: Subject, metrics: dict[str, Metric]) -> dict[str, float]:
    """The numbers of the curve, by column: on the validation split in place of the test split."""
    found: dict[str, float] = {}
    seen = replace(subject, test=subject.validation, memo={})
    for name, metric in metrics.items():
        try:
            values = [_value(measurement, name, "") for measurement in ask(metric, seen)]
        except NotApplicable:
            continue
        except Overstayed:
            raise
        except BaseException as error:  # as above
            say_traceback(error)
        else:
            found |= {value.name: value.value for value in values}
    return found


def _value(measurement: Measurement, metric: str, protocol: str) -> Value:
    """A measurement as a record has it.

    Raises:
        ValueError: a record has no place for it; the message names the field.
    """
    for what, text in (("name", measurement.name), ("unit", measurement.unit)):
        if isinstance(text, str) and len(text) > NAME:
            raise ValueError(f"the {what} of a measurement has {len(text)} characters; at most {NAME} are shown")
    try:
        return Value(
            name=measurement.name,
            metric=metric,
            value=measurement.value,
            stderr=measurement.stderr,
            kind=measurement.kind,
            better=measurement.better,
            unit=measurement.unit,
            protocol=protocol,
            settings=plain_value(measurement.settings),
            interval=measurement.interval,
            flags=_lines(measurement.flags),
            notes=_lines(measurement.notes),
            points=_points(measurement),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        name = plain_line(measurement.name, NAME)
        raise ValueError(f"the measurement '{name}' can't be recorded: {field}: {first['msg']}") from None


def _lines(texts: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(plain_line(text) for text in ((texts,) if isinstance(texts, str) else texts))


def _points(measurement: Measurement) -> str:
    """The pseudo-values as a record has them; empty where there are none.

    Raises:
        ValueError: they are no row of finite numbers, of which a record holds `POINT_GROUPS` at most.
    """
    if measurement.points is None:
        return ""
    points = np.asarray(measurement.points, dtype=np.float64)
    if points.ndim != 1 or len(points) > POINT_GROUPS or not np.isfinite(points).all():
        raise ValueError(f"the pseudo-values of {measurement.name} are not at most {POINT_GROUPS} finite numbers")
    return packed(points.tolist())

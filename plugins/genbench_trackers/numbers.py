"""What is logged of a run, and how it is called; the same for every tracker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genbench.plan.spec import RunSpec
    from genbench.results.schema import Record

#: The fields of a spec that say what was run, beside the model's options.
FIELDS = ("model", "family", "label", "dataset", "data", "budget", "seed", "precision", "device", "select", "key")


def parameters(spec: RunSpec) -> dict[str, Any]:
    """What was run, and the model's options as `config/NAME`."""
    options = {f"config/{name}": value for name, value in spec.config.items()}
    return {name: getattr(spec, name) for name in FIELDS} | options


def live(event: dict[str, Any]) -> dict[str, float]:
    """What a training event reports, as `train/NAME`: what `update` returned, the speed, the spent fraction of the
    budget; nothing for another event."""
    if "scalars" not in event:
        return {}
    values = event["scalars"] | {name: event[name] for name in ("images_per_s", "fraction")}
    return {f"train/{name}": value for name, value in values.items() if value is not None}


def measured(record: Record) -> Iterator[tuple[int, dict[str, float]]]:
    """The validation quality at every point of the curve, as `curve/NAME`, then the run's numbers, as `final/NAME`;
    each with its training step."""
    for point in record.curve:
        objective = {} if point.objective is None else {"objective": point.objective}
        yield point.steps, {f"curve/{name}": value for name, value in (objective | point.metrics).items()}
    yield last_step(record), {f"final/{value.name}": value.value for value in record.metrics}


def last_step(record: Record) -> int:
    """How many steps were trained."""
    return record.budget.used.steps or 0


def outcome(record: Record) -> str:
    """The run's status, with the reason where it is not ok."""
    if record.error is None:
        return record.status
    return f"{record.status}: {record.error.type}: {record.error.message}"

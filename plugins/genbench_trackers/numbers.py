"""What is logged of a run, and how it is called; the same for every tracker."""

from __future__ import annotations

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


def live(event: dict[str, Any]) -> tuple[int, dict[str, float]]:
    """The training step and the numbers that an event reports: of training, as `train/NAME`, what `update` returned,
    the speed and the spent fraction of the budget; of a point of the curve, as `curve/NAME`, the validation quality; of
    another event none."""
    if event["phase"] == "curve":
        point = event["point"]
        step, head, values = point["steps"], "curve", {"objective": point["objective"]} | point["metrics"]
    elif "scalars" in event:
        step, head = event["steps"], "train"
        values = event["scalars"] | {name: event[name] for name in ("images_per_s", "fraction")}
    else:
        return 0, {}
    return step, {f"{head}/{name}": value for name, value in values.items() if value is not None}


def final(record: Record) -> dict[str, float]:
    """The run's numbers, as `final/NAME`."""
    return {f"final/{value.name}": value.value for value in record.metrics}


def last_step(record: Record) -> int:
    """How many steps were trained."""
    return record.budget.used.steps or 0


def outcome(record: Record) -> str:
    """The run's status, with the reason where it is not ok."""
    if record.error is None:
        return record.status
    return f"{record.status}: {record.error.type}: {record.error.message}"

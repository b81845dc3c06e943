"""What a record's timing says of its numbers: what they cost, and whether the run had the time that it was given."""

from __future__ import annotations

import math
from dataclasses import replace

from genbench.results.schema import BudgetUse, Record, Value

#: A run that had a smaller share of its time than this is flagged.
STARVED = 0.9
#: Seconds are used up from this part of them on: on a GPU the clock looks at the time now and then only.
SPENT = 0.99
#: The metric that asks what a run costs, whose columns these are.
COST = "throughput"
#: Columns that are about time, whatever the budget is in.
TIMED = frozenset({"train_images_per_s", "device_seconds", "energy_joules"})


def accounted(record: Record) -> Record:
    """The record with what the run cost among its numbers, and with those flagged that suffered because it was starved:
    all of them where seconds ended its training, else those that are about time.

    Neither stands in the record itself: its numbers are what was measured, and all this follows from them.
    """
    values = [*record.metrics, *costs(record)]
    flag = starvation(record)
    if not flag and len(values) == len(record.metrics):
        return record
    if flag:
        all_of_them = _ended_by_time(record.budget)
        values = [
            replace(value, flags=(*value.flags, flag)) if all_of_them or value.name in TIMED else value
            for value in values
        ]
    return record.model_copy(update={"metrics": values})


def starvation(record: Record) -> str:
    """What to know of a run that had less than `STARVED` of its time on the clock; empty where it had more, or it is
    not known."""
    share = record.timing.get("share")
    if share is None or share >= STARVED:
        return ""
    return f"had under {10 * math.floor(10 * share) + 10}% of its time"


def _ended_by_time(budget: BudgetUse) -> bool:
    """Whether training would have gone on with more seconds: a closed-form fit, or one with few steps, would not."""
    allowed, used = budget.allowed.seconds, budget.used.seconds
    return allowed is not None and used is not None and used >= SPENT * allowed


def costs(record: Record) -> list[Value]:
    """What a run cost that ended well and whose `throughput` was measured, as far as it is known: `device_seconds` of
    training, measuring on the curve and evaluation, `train_flops`, and `energy_joules` of training."""
    measured = next((value for value in record.metrics if value.metric == COST), None)
    if measured is None or record.status != "ok" or "training" not in record.timing:
        return []
    timing = record.timing
    seconds = timing["training"] + timing.get("curve", 0.0) + timing.get("evaluation", 0.0)
    found = [_cost(measured, "device_seconds", seconds, "s")]
    if (flops := record.budget.used.flops) is not None:
        found.append(_cost(measured, "train_flops", flops, "FLOP"))
    if (joules := timing.get("energy_joules")) is not None:
        found.append(_cost(measured, "energy_joules", joules, "J"))
    return found


def _cost(measured: Value, name: str, value: float, unit: str) -> Value:
    """A number under the protocol of one that was measured in the same run."""
    return Value(
        name=name,
        metric=COST,
        value=value,
        stderr=None,
        kind="estimate",
        better="neither",
        unit=unit,
        protocol=measured.protocol,
        settings={},
    )

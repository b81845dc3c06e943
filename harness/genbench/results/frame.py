"""Records as pandas frames: one row per number."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from genbench.results.account import accounted
from genbench.results.schema import Record, Unmeasured, Value

COLUMNS = [
    "key",
    "model",
    "label",
    "family",
    "data",
    "budget",
    "seed",
    "status",
    "protocol_hash",
    "metric",
    "name",
    "value",
    "stderr",
    "interval_low",
    "interval_high",
    "kind",
    "better",
    "unit",
    "protocol",
    "flags",
    "reason",
]

#: Those that hold floats.
NUMBER_COLUMNS = ["value", "stderr", "interval_low", "interval_high"]


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record and number, long form, with `COLUMNS`.

    `stderr` is over the test data, and `interval_low` and `interval_high` are the ends of the value's own 95% interval,
    where it has one that is better than `value` ± 1.96 `stderr`; NaN where not. Values may be compared where their
    `protocol` is the same, the hash of all that must agree for this number; `protocol_hash` is the whole run's.
    `flags` holds what to know before believing the value, joined by `"; "`; empty where there is nothing.

    A record's `status` is repeated in its rows. Numbers that could not be had stand with `value` NaN, `kind`
    `"failed"` or `"not_applicable"` and their `reason`; a record without any number has one row with `name` None.
    """
    rows: list[tuple[object, ...]] = []
    for record in map(accounted, records):
        spec = record.spec
        common = (
            record.key,
            spec.model,
            spec.label,
            spec.family,
            spec.data,
            spec.budget,
            spec.seed,
            record.status,
            record.protocol_hash,
        )
        before = len(rows)
        rows += [common + _measured(value) for value in record.metrics]
        rows += [common + _unmeasured(gap, name) for gap in record.unmeasured for name in gap.names]
        if len(rows) == before:
            rows.append((*common, *[None] * 11, record.error.message if record.error else None))
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(NUMBER_COLUMNS, float))


def _measured(value: Value) -> tuple[object, ...]:
    interval = value.interval or (None, None)
    about = value.kind, value.better, value.unit, value.protocol, "; ".join(value.flags), None
    return value.metric, value.name, value.value, value.stderr, *interval, *about


def _unmeasured(gap: Unmeasured, name: str) -> tuple[object, ...]:
    return gap.metric, name, *[None] * 4, gap.status, *[None] * 4, gap.reason

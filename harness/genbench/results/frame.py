"""Records as pandas frames: one row per number."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from genbench.results.schema import Record, Value

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

#: Those that are fields of a value.
VALUE_COLUMNS = {"metric", "name", "value", "stderr", "kind", "better", "unit", "protocol"}


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record and number, long form, with `COLUMNS`.

    `stderr` is over the test data, and `interval_low` and `interval_high` are the ends of the value's own 95% interval,
    where it has one that is better than `value` ± 1.96 `stderr`; NaN where not. Values may be compared where their
    `protocol` is the same, the hash of all that must agree for this number; `protocol_hash` is the whole run's.
    `flags` holds what to know before believing the value, joined by `"; "`; empty where there is nothing.

    A record's `status` is repeated in its rows. Numbers that could not be had stand with `value` NaN, `kind`
    `"failed"` or `"not_applicable"` and their `reason`; a record without any number has one row with `name` None.
    """
    rows: list[dict[str, object]] = []
    for record in records:
        spec = record.spec
        common = {
            "key": record.key,
            "model": spec.model,
            "label": spec.label,
            "family": spec.family,
            "data": spec.data,
            "budget": spec.budget,
            "seed": spec.seed,
            "status": record.status,
            "protocol_hash": record.protocol_hash,
        }
        before = len(rows)
        rows += [common | _fields(value) for value in record.metrics]
        for gap in record.unmeasured:
            rows += [
                common | {"metric": gap.metric, "name": name, "kind": gap.status, "reason": gap.reason}
                for name in gap.names
            ]
        if len(rows) == before:
            rows.append(common | {"reason": record.error.message if record.error else None})
    return pd.DataFrame(rows, columns=COLUMNS)


def _fields(value: Value) -> dict[str, object]:
    low, high = value.interval or (None, None)
    return value.model_dump(include=VALUE_COLUMNS) | {
        "interval_low": low,
        "interval_high": high,
        "flags": "; ".join(value.flags),
    }

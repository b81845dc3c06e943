"""Records as pandas frames: one row per number."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from genbench.results.schema import Record

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
    "kind",
    "better",
    "unit",
    "reason",
]

VALUE_COLUMNS = {"metric", "name", "value", "stderr", "kind", "better", "unit"}


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record and number, long form, with `COLUMNS`.

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
        rows += [common | value.model_dump(include=VALUE_COLUMNS) for value in record.metrics]
        for gap in record.unmeasured:
            rows += [
                common | {"metric": gap.metric, "name": name, "kind": gap.status, "reason": gap.reason}
                for name in gap.names
            ]
        if len(rows) == before:
            rows.append(common | {"reason": record.error.message if record.error else None})
    return pd.DataFrame(rows, columns=COLUMNS)

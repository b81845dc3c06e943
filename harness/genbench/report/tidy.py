"""Tables for programs: CSV and JSON, with every column and full precision."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from genbench.report.layout import Cell, Row, Table
from genbench.report.protocols import one_line

SUFFIXES = ("", "_ci", "_kind", "_n")


def to_csv(tables: Sequence[Table]) -> str:
    """One line per protocol and model.

    Every column `NAME` brings `NAME`, `NAME_ci` (half-width of the 95% interval), `NAME_kind` (`failed` or
    `not_applicable` where there is no number) and `NAME_n` (seeds). `status` counts the runs: `ok:2;diverged:1`.
    """
    names = list(dict.fromkeys(column.name for table in tables for column in table.columns))
    lines = [_line(table, row) for table in tables for row in table.rows]
    about = ["protocol", "data", "budget", "precision", "select", "label", "model", "family", "n", "ok", "status"]
    text = io.StringIO()
    writer = csv.DictWriter(
        text, [*about, *(name + suffix for name in names for suffix in SUFFIXES)], restval="", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def to_json(tables: Sequence[Table]) -> str:
    """A list of tables: protocol, columns, rows with one object per cell, problems."""
    return json.dumps([_document(table) for table in tables], indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _line(table: Table, row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {
        "protocol": table.protocol_hash,
        "data": one_line(table.data),
        **{name: one_line(table.protocol.get(name, "")) for name in ("budget", "precision", "select")},
        "label": row.label,
        "model": one_line(row.model),
        "family": one_line(row.family),
        "n": len(row.keys),
        "ok": row.ok,
        "status": ";".join(f"{status}:{count}" for status, count in row.statuses.items()),
    }
    for column in table.columns:
        line |= {
            column.name + suffix: value for suffix, value in zip(SUFFIXES, _fields(row.cells[column.name]), strict=True)
        }
    return line


def _fields(cell: Cell) -> tuple[Any, ...]:
    if cell.state == "value":
        return cell.value, cell.interval, cell.kind, cell.n
    return None, None, None if cell.state == "absent" else cell.state, None


def _document(table: Table) -> dict[str, Any]:
    return {
        "protocol_hash": table.protocol_hash,
        "title": table.title,
        "differs": dict(table.differs),
        "protocol": dict(table.protocol),
        "columns": [
            {"name": c.name, "metric": c.metric, "unit": c.unit, "better": c.better, "comparable": c.comparable}
            for c in table.columns
        ],
        "rows": [
            {
                "label": row.label,
                "model": row.model,
                "family": row.family,
                "keys": row.keys,
                "statuses": dict(row.statuses),
                "cells": {column.name: asdict(row.cells[column.name]) for column in table.columns},
            }
            for row in table.rows
        ],
        "problems": [asdict(problem) for problem in table.problems],
    }

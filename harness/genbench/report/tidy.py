"""Tables for programs: CSV and JSON, with every column and full precision."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from genbench.report.layout import Cell, Column, Row, Table
from genbench.report.protocols import one_line
from genbench.report.standings import Standings
from genbench.results.spreadsheets import harmless

SUFFIXES = ("", "_ci", "_kind", "_n", "_rank_low", "_rank_high", "_protocol", "_flags")


def to_csv(tables: Sequence[Table]) -> str:
    """One line per protocol and model.

    Every column `NAME` brings `NAME`, `NAME_ci` (half-width of the 95% interval), `NAME_kind` (`failed` or
    `not_applicable` where there is no number), `NAME_n` (seeds), `NAME_rank_low` and `NAME_rank_high` (the ranks
    between which the model lies), `NAME_protocol` (hash of all that must agree before two of these numbers may be
    compared) and `NAME_flags`. `status` counts the runs: `ok:2;diverged:1`.
    """
    names = list(dict.fromkeys(column.name for table in tables for column in table.columns))
    lines = [_line(table, row) for table in tables for row in table.rows]
    about = ["protocol", "data", "budget", "precision", "select", "label", "model", "family", "n", "ok", "status"]
    fields = [*about, *(name + suffix for name in names for suffix in SUFFIXES)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(harmless, fields))
    writer.writerows([harmless(line.get(field, "")) for field in fields] for line in lines)
    return text.getvalue()


def to_json(tables: Sequence[Table]) -> str:
    """A list of tables: protocol, columns, rows with one object per cell, problems, metrics that apply to no model."""
    return json.dumps([_document(table) for table in tables], indent=1, allow_nan=False) + "\n"


def _line(table: Table, row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {
        "protocol": table.protocol_hash,
        "data": table.data,
        "budget": one_line(table.protocol.get("budget", "")),
        "precision": row.precision,
        "select": row.select,
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
        ranks = cell.rank_low, cell.rank_high
        return cell.value, cell.interval, cell.kind, cell.n, *ranks, ";".join(cell.protocols), "; ".join(cell.flags)
    return None, None, None if cell.state == "absent" else cell.state, *[None] * (len(SUFFIXES) - 3)


def standings_to_json(found: Sequence[tuple[Table, Standings | None]]) -> str:
    """A list of protocols: the column (null where none is ranked), its models with their ranks, and the differences of
    all pairs."""
    return json.dumps([_standings(*each) for each in found], indent=1, allow_nan=False) + "\n"


def _standings(table: Table, found: Standings | None) -> dict[str, Any]:
    if found is None:
        return _head(table) | {"column": None, "models": [], "differences": []}
    name = found.column.name
    return _head(table) | {
        "column": _about(found.column),
        "models": [
            {"label": row.label, "model": row.model, "family": row.family, "keys": row.keys} | _cell(row.cells[name])
            for row in found.rows
        ],
        "differences": [
            {"model": label, "minus": other} | asdict(between) | {"distinguishable": between.distinguishable}
            for (label, other), between in found.differences.items()
        ],
    }


def _head(table: Table) -> dict[str, Any]:
    return {"protocol_hash": table.protocol_hash, "title": table.title, "differs": dict(table.differs)}


def _about(column: Column) -> dict[str, Any]:
    return {name: getattr(column, name) for name in ("name", "metric", "unit", "better", "comparable", "differs")}


def _cell(cell: Cell) -> dict[str, Any]:
    """The cell's fields, but its numbers `by_seed`."""
    by_seed = {"by_seed": dict(zip(cell.seeds, cell.numbers, strict=True))}
    return {name: value for name, value in asdict(cell).items() if name not in ("seeds", "numbers")} | by_seed


def _document(table: Table) -> dict[str, Any]:
    return _head(table) | {
        "protocol": dict(table.protocol),
        "columns": [_about(column) for column in table.columns],
        "rows": [
            {
                "label": row.label,
                "model": row.model,
                "family": row.family,
                "keys": row.keys,
                "statuses": dict(row.statuses),
                "cells": {column.name: _cell(row.cells[column.name]) for column in table.columns},
            }
            for row in table.rows
        ],
        "problems": [asdict(problem) for problem in table.problems],
        "unanswered": [asdict(each) for each in table.unanswered],
    }

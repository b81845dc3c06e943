"""Which model is best in a column, which ones can't be told from it, and in what order rows stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from genbench.report.layout import Cell, Column, Row, value_text


def mark_best(rows: Sequence[Row], column: Column) -> list[Row]:
    """The rows with the best cells of the column marked, and those that can't be told from the best."""
    if column.better == "neither" or not column.comparable:
        return list(rows)
    sign = 1 if column.better == "lower" else -1
    contenders = {
        row.label: row.cells[column.name]
        for row in rows
        if not row.is_reference and row.cells[column.name].value is not None and not _flatters(row, column)
    }
    if len(contenders) < 2:
        return list(rows)
    best = min(contenders.values(), key=lambda cell: sign * (cell.value or 0.0))
    judged = []
    for row in rows:
        cell = row.cells[column.name]
        if row.label in contenders:
            is_best = value_text(cell, column) == value_text(best, column)
            cell = replace(cell, best=is_best, close=not is_best and _overlap(cell, best))
        judged.append(replace(row, cells={**row.cells, column.name: cell}))
    return judged


def rank(cell: Cell, column: Column, worst_first: bool) -> tuple[int, float]:
    """Sorts values first, then what failed, then what has no number."""
    if cell.value is None:
        return (1 if cell.state == "failed" else 2, 0.0)
    smallest_first = (column.better != "higher") != worst_first
    return (0, cell.value if smallest_first else -cell.value)


def order_text(column: Column, worst_first: bool) -> str:
    """How `rank` sorted, in words."""
    if column.better == "neither":
        return f"sorted by {column.name}, {'largest' if worst_first else 'smallest'} first"
    return f"sorted by {column.name}, {'worst' if worst_first else 'best'} first"


def natural(text: str) -> list[tuple[int, str]]:
    """Sorts `vae[latent_dim=8]` before `vae[latent_dim=16]`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text) if part]


def _flatters(row: Row, column: Column) -> bool:
    """Whether the truth can only be worse than this bound: such a number can't be the best one."""
    return row.cells[column.name].kind == ("upper_bound" if column.better == "higher" else "lower_bound")


def _overlap(one: Cell, other: Cell) -> bool:
    if one.value is None or other.value is None or one.interval is None or other.interval is None:
        return False
    return abs(one.value - other.value) <= one.interval + other.interval

"""Which model is best in a column, which ones can't be told from it, between which ranks each lies, and in what order
rows stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from genbench.report.comparing import difference, rank_intervals
from genbench.report.layout import Cell, Column, Row, Table, value_text


def judge(rows: Sequence[Row], column: Column) -> list[Row]:
    """The rows with the cells of the column marked that are best, and, where any error is known, those that can't be
    told from the best, and with the ranks between which each model lies."""
    ranked = contenders(rows, column)
    if len(ranked) < 2:
        return list(rows)
    cells = [row.cells[column.name] for row in ranked]
    best = cells[0]
    judged = {
        row.label: replace(cell, best=value_text(cell, column) == value_text(best, column))
        for row, cell in zip(ranked, cells, strict=True)
    }
    if not _lack_errors(cells):
        for (label, cell), (low, high) in zip(judged.items(), rank_intervals(cells, column.better), strict=True):
            close = not cell.best and not difference(cell, best).distinguishable
            judged[label] = replace(cell, close=close, rank_low=low, rank_high=high)
    return [
        replace(row, cells={**row.cells, column.name: judged[row.label]}) if row.label in judged else row
        for row in rows
    ]


def errorless(table: Table, column: Column) -> bool:
    """Whether the best model is known in this column, and no error, so that nothing can be said about differences."""
    found = contenders(table.rows, column)
    return len(found) > 1 and _lack_errors(row.cells[column.name] for row in found)


def contenders(rows: Iterable[Row], column: Column) -> list[Row]:
    """The models that are ranked in this column, best first: those with a number that does not flatter them, where
    the numbers can be compared and one direction is better."""
    if column.better == "neither" or not column.comparable:
        return []
    found = [
        row
        for row in rows
        if not row.is_reference and row.cells[column.name].value is not None and not _flatters(row, column)
    ]
    return sorted(found, key=lambda row: rank(row.cells[column.name], column))


def ranked_columns(table: Table) -> list[Column]:
    """The main columns in which models are ranked."""
    return [c for c in table.columns if c.main and any(row.cells[c.name].rank_low for row in table.rows)]


def ranked_rows(table: Table) -> list[Row]:
    """The models that are ranked in a main column."""
    columns = ranked_columns(table)
    return [row for row in table.rows if any(row.cells[column.name].rank_low for column in columns)]


def rank(cell: Cell, column: Column, worst_first: bool = False) -> tuple[int, float]:
    """Sorts values first, then what failed, then what has no number."""
    if cell.value is None:
        return (1 if cell.state == "failed" else 2, 0.0)
    smallest_first = (column.better != "higher") != worst_first
    return (0, cell.value if smallest_first else -cell.value)


def order_text(column: Column, worst_first: bool = False) -> str:
    """How `rank` sorted, in words."""
    if column.better == "neither":
        return f"sorted by {column.name}, {'largest' if worst_first else 'smallest'} first"
    return f"sorted by {column.name}, {'worst' if worst_first else 'best'} first"


def natural(text: str) -> list[tuple[int, str]]:
    """Sorts `vae[latent_dim=8]` before `vae[latent_dim=16]`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", text) if part]


def _flatters(row: Row, column: Column) -> bool:
    """Whether the truth can only be worse than this bound: such a number can't be the best one."""
    return row.cells[column.name].kind == ("upper_bound" if column.better == "higher" else "lower_bound")


def _lack_errors(cells: Iterable[Cell]) -> bool:
    return all(cell.interval is None for cell in cells)

"""What a table says in words and marks, the same in every format."""

from __future__ import annotations

import re

from genbench.report.comparing import Difference
from genbench.report.layout import Cell, Column, Problem, Table, interval_text, value_text
from genbench.report.quantities import decimals_for, number, small_number
from genbench.report.ranking import errorless

#: What a number's kind puts before it; an exact one stands unmarked.
KIND_MARKS = {"exact": "", "lower_bound": "≥", "upper_bound": "≤", "estimate": "~"}
ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}
NOT_APPLICABLE = "–"
CLOSE = "†"
FLAGGED = "‡"
#: What the kind of a difference puts before it.
DIFFERENCE_MARKS = {**KIND_MARKS, "bounds": "≶"}


def shown_columns(table: Table) -> list[Column]:
    """The columns for formats with little room."""
    return [column for column in table.columns if column.main]


def has_something(table: Table, column: Column) -> bool:
    """Whether the column has a number, or something that failed in place of one."""
    return any(row.cells[column.name].state in ("value", "failed") for row in table.rows)


def header(column: Column) -> str:
    """What stands under a column's name: its unit and the better direction, `bits/dim ↓`."""
    return f"{column.unit} {ARROWS[column.better]}".strip()


def cell_text(cell: Cell, column: Column) -> str:
    """A cell as plain text: `≤2.314 ±0.012`, `diverged`, `–`, or nothing."""
    if cell.state == "value":
        return number_text(cell, column) + marks(cell)
    return {"failed": cell.word, "not_applicable": NOT_APPLICABLE, "absent": ""}[cell.state]


def number_text(cell: Cell, column: Column) -> str:
    """The number of a cell that has one, with its kind and interval but no marks behind it: `≤2.314 ±0.012`."""
    value = f"{KIND_MARKS[cell.kind or 'exact']}{value_text(cell, column)}"
    return f"{value} {interval_text(cell, column)}".rstrip()


def marks(cell: Cell) -> str:
    """What stands behind a number: whether it can't be told from the best, and whether it is flagged."""
    return f"{CLOSE if cell.close else ''}{FLAGGED if cell.flags else ''}"


def rank_text(cell: Cell) -> str:
    """The ranks between which a model lies, `2–4`, or the only one; nothing where it is not ranked."""
    if cell.rank_low is None:
        return ""
    return str(cell.rank_low) if cell.rank_low == cell.rank_high else f"{cell.rank_low}–{cell.rank_high}"


def difference_text(found: Difference) -> str:
    """A difference with its sign: `~+0.12 ±0.03`, and a mark where it can't be told from 0."""
    mark = f"{DIFFERENCE_MARKS[found.kind]}{'-' if found.value < 0 else '+'}"
    size, width = abs(found.value), found.interval
    if width is None:
        return f"{mark}{small_number(size, decimals_for([size], []))}{CLOSE}"
    decimals = decimals_for([size or width], [width])
    return f"{mark}{number(size, decimals)} ±{small_number(width, decimals)}{'' if found.distinguishable else CLOSE}"


def basis_text(found: Difference) -> str:
    """What a difference's interval comes from."""
    if found.interval is None:
        return "no error known"
    return f"paired over {found.n} seeds" if found.n else "unpaired"


def wrapped(label: str, width: int) -> str:
    """The label in lines of at most `width` characters, broken after a comma or bracket where there is one."""
    lines = [""]
    for option in re.findall(r"[^,\[]*[,\[]|[^,\[]+", label):
        for part in [option[start : start + width] for start in range(0, len(option), width)]:
            if lines[-1] and len(lines[-1] + part) > width:
                lines.append("")
            lines[-1] += part
    return "\n".join(lines)


def problem_text(problem: Problem) -> str:
    """What went wrong where, without the label: `seed 1: diverged in training`."""
    where = f" in {problem.what}" if problem.what else ""
    return f"seed {problem.seed}: {problem.status}{where}"


def differs_line(table: Table) -> str:
    """In what this table's protocol differs from those beside it; empty for a single table."""
    return ", ".join(f"{name} = {value}" for name, value in table.differs.items())


def unanswered_line(table: Table) -> str:
    """Which metrics apply to no model of the table, and why; empty where there are none."""
    parts = [f"{', '.join(each.metrics)} ({'; '.join(each.reasons)})" for each in table.unanswered]
    return f"Not applicable to any model here: {'; '.join(parts)}." if parts else ""


def highlights(table: Table) -> list[tuple[str, str]]:
    """For every main column in which a model is best: its name, and which one, by how much, beside which others."""
    lines = []
    for column in shown_columns(table):
        best = [row for row in table.rows if row.cells[column.name].best]
        close = [row.label for row in table.rows if row.cells[column.name].close]
        if best:
            said = ", ".join(f"{row.label} ({cell_text(row.cells[column.name], column)})" for row in best)
            doubt = f"; not distinguishable: {', '.join(close)}" if close else ""
            lines.append((column.name, said + ("; no error is known" if errorless(table, column) else doubt)))
    return lines

"""What a table says in words and marks, the same in every format."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from genbench.report.layout import Cell, Column, Problem, Table, interval_text, value_text

#: What a number's kind puts before it; an exact one stands unmarked.
KIND_MARKS = {"exact": "", "lower_bound": "≥", "upper_bound": "≤", "estimate": "~"}
ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}
NOT_APPLICABLE = "–"
CLOSE = "†"


def shown_columns(table: Table) -> list[Column]:
    """The columns for formats with little room."""
    return [column for column in table.columns if column.main]


def header(column: Column) -> str:
    """What stands under a column's name: its unit and the better direction, `bits/dim ↓`."""
    return f"{column.unit} {ARROWS[column.better]}".strip()


def cell_text(cell: Cell, column: Column) -> str:
    """A cell as plain text: `≤2.314 ±0.012`, `diverged`, `–`, or nothing."""
    if cell.state == "value":
        number = f"{KIND_MARKS[cell.kind or 'exact']}{value_text(cell, column)}"
        return f"{number} {interval_text(cell, column)}".rstrip() + (CLOSE if cell.close else "")
    return {"failed": cell.word, "not_applicable": NOT_APPLICABLE, "absent": ""}[cell.state]


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


def legend(tables: Sequence[Table], columns: Callable[[Table], Sequence[Column]] = shown_columns) -> list[str]:
    """One sentence for each mark that occurs in these columns of the tables."""
    found = [(row, row.cells[c.name], c) for table in tables for c in columns(table) for row in table.rows]
    cells = [cell for _, cell, _ in found]
    lines = []
    if any(column.better != "neither" for _, _, column in found):
        lines.append("↓ lower is better, ↑ higher is better; the best model is in bold.")
    lines += _kinds({cell.kind for cell in cells})
    if any(cell.interval is not None and cell.n > 1 for cell in cells):
        lines.append("± with n > 1: 95% Student-t interval of the mean over n seeds.")
    if any(cell.interval is not None and cell.n == 1 for cell in cells):
        lines.append("± with n = 1: 1.96 standard errors over the test data; how seeds differ is not in it.")
    if any(cell.close for cell in cells):
        lines.append(f"{CLOSE} not distinguishable: its interval and that of the best overlap.")
    if any(cell.n and cell.n < row.ok for row, cell, _ in found):
        lines.append("A metric that gave no number for some seeds is averaged over the others.")
    if any(row.ok < len(row.keys) for table in tables for row in table.rows):
        lines.append("n = 2/3: two of three runs are ok, and the numbers are theirs.")
    if any(cell.state == "failed" for cell in cells):
        lines.append("failed, diverged, timeout, oom (out of memory), killed: the reasons are listed with the table.")
    if any(cell.state == "not_applicable" for cell in cells):
        lines.append(f"{NOT_APPLICABLE} not applicable to this model.")
    if any(cell.state == "absent" for cell in cells):
        lines.append("Blank: not asked for.")
    if uneven := {column.name for _, _, column in found if not column.comparable}:
        lines.append(f"Measured with different settings, so not ranked: {', '.join(sorted(uneven))}.")
    return lines


def _kinds(kinds: set[str | None]) -> list[str]:
    marks = {"upper_bound": "≤ an upper bound", "lower_bound": "≥ a lower bound", "estimate": "~ an estimate"}
    used = [text for kind, text in marks.items() if kind in kinds]
    if not used:
        return []
    lines = [f"{', '.join(used)}; unmarked numbers are exact."]
    if kinds & {"upper_bound", "lower_bound"}:
        lines.append("A bound is ranked as it stands, except that one which flatters the model is never called best.")
    return lines


def highlights(table: Table) -> list[tuple[str, str]]:
    """For every main column in which a model is best: its name, and which one, by how much, beside which others."""
    lines = []
    for column in shown_columns(table):
        best = [row for row in table.rows if row.cells[column.name].best]
        close = [row.label for row in table.rows if row.cells[column.name].close]
        if best:
            said = ", ".join(f"{row.label} ({cell_text(row.cells[column.name], column)})" for row in best)
            lines.append((column.name, said + (f"; not distinguishable: {', '.join(close)}" if close else "")))
    return lines

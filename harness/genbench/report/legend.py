"""What the marks of a table mean, in sentences, the same in every format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from genbench.report.comparing import Difference
from genbench.report.layout import Column, Table
from genbench.report.ranking import errorless
from genbench.report.text import CLOSE, DIFFERENCE_MARKS, FLAGGED, NOT_APPLICABLE, shown_columns

#: What a table of ranks says.
RANKS = (
    "Ranks count from 1, the best; they are 95% intervals that hold for all models of a column at once (Holm's "
    "procedure over all pairs)."
)


def flag_notes(table: Table, columns: Sequence[Column]) -> list[str]:
    """For each flag of these columns what it says and where: `‡ fewer than 3 points per dimension: fid, kid (vae)`."""
    where: dict[str, dict[str, list[str]]] = {}
    for column in columns:
        for row in table.rows:
            for flag in row.cells[column.name].flags:
                where.setdefault(flag, {}).setdefault(column.name, []).append(row.label)
    counts = {c.name: sum(row.cells[c.name].value is not None for row in table.rows) for c in columns}
    notes = []
    for flag, found in where.items():
        names: dict[str, list[str]] = {}  # by the rows that are flagged
        for name, labels in found.items():
            rows = "all" if len(labels) == counts[name] > 1 else ", ".join(labels)
            names.setdefault(rows, []).append(name)
        places = [f"{', '.join(same)} ({rows})" for rows, same in names.items()]
        notes.append(f"{FLAGGED} {flag}: {', '.join(places)}")
    return notes


def uneven_note(column: Column) -> str:
    """In what the values of a column that is not comparable differ: `fid (k = 5 or 50)`."""
    differs = ", ".join(f"{name} = {' or '.join(dict.fromkeys(values))}" for name, values in column.differs.items())
    return f"{column.name} ({differs})" if differs else column.name


def legend(tables: Sequence[Table], columns: Callable[[Table], Sequence[Column]] = shown_columns) -> list[str]:
    """One sentence for each mark that occurs in these columns of the tables."""
    found = [(row, row.cells[c.name], c) for table in tables for c in columns(table) for row in table.rows]
    cells = [cell for _, cell, _ in found]
    lines = []
    if any(column.better != "neither" for _, _, column in found):
        lines.append("↓ lower is better, ↑ higher is better; the best model is in bold.")
    lines += _kinds({cell.kind for cell in cells})
    if any(cell.interval is not None and cell.varies for cell in cells):
        lines.append(
            "± with n > 1: 95% Student-t interval of the mean over n seeds; the choice of test data is not in it."
        )
    if any(cell.interval is not None and not cell.varies for cell in cells):
        lines.append(
            "± with n = 1, or where all seeds agree: half of the measurement's own 95% interval, else 1.96 standard "
            "errors over the test data; how seeds differ is not in it."
        )
    if bare := sorted({c.name for table in tables for c in columns(table) if errorless(table, c)}):
        lines.append(
            f"Without an error bar, so that nothing can be said about differences and no ranks are given: "
            f"{', '.join(bare)}."
        )
    if any(cell.close for cell in cells):
        lines.append(
            f"{CLOSE} not distinguishable from the best: the 95% interval of their difference, paired where two or "
            "more seeds are shared, contains 0, or no error is known."
        )
    if any(cell.flags for cell in cells):
        lines.append(f"{FLAGGED} flagged: a note beneath the table says what to know before believing the number.")
    if any(cell.n and cell.n < row.ok for row, cell, _ in found):
        lines.append("A metric that gave no number for some seeds is averaged over the others.")
    if any(row.ok < len(row.keys) for table in tables for row in table.rows):
        lines.append("n = 2/3: two of three runs are ok, and the numbers are theirs.")
    if any(cell.state == "failed" for cell in cells):
        lines.append("failed, diverged, timeout, oom (out of memory), killed: the reasons are listed.")
    if any(cell.state == "not_applicable" for cell in cells):
        lines.append(f"{NOT_APPLICABLE} not applicable to this model.")
    if any(cell.state == "absent" for cell in cells):
        lines.append("Blank: not asked for.")
    if uneven := {uneven_note(column) for _, _, column in found if not column.comparable}:
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


def difference_legend(found: Iterable[Difference]) -> list[str]:
    """What a reader must know of these differences; nothing where there are none."""
    kinds = {between.kind for between in found}
    if not kinds:
        return []
    lines = [
        "± of a difference: half of a 95% interval for that pair alone, paired where two or more seeds are shared; "
        f"{CLOSE} the two can't be told apart, because it contains 0 or no error is known."
    ]
    if "bounds" in kinds:
        lines.append(f"{DIFFERENCE_MARKS['bounds']} between two bounds, which bounds the truth from neither side.")
    return lines

"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.segment import Segments
from rich.table import Table as Grid
from rich.text import Text

from genbench.report.failures import FailureRow, summary
from genbench.report.layout import Cell, Column, Row, Table
from genbench.report.legend import RANKS, difference_legend, flag_notes, legend
from genbench.report.protocols import one_line
from genbench.report.ranking import order_text
from genbench.report.standings import Standings
from genbench.report.text import (
    basis_text,
    cell_text,
    difference_text,
    differs_line,
    has_something,
    header,
    problem_text,
    rank_text,
    shown_columns,
    unanswered_line,
    wrapped,
)

#: Column names are broken after an underscore so that no line is longer than this.
NAME_WIDTH = 12
#: Labels are broken at this many characters.
LABEL_WIDTH = 32
#: Labels at the head of a column are broken at this many.
OTHER_WIDTH = 14


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """Print every table under its heading, what failed and why, and the legend.

    Columns for which a terminal is too narrow are left out from the right and named below; a file gets lines as long
    as they need to be.
    """
    fitting = {table.protocol_hash: _fitting(table, console) for table in tables}
    for table in tables:
        columns = fitting[table.protocol_hash]
        _print_heading(table, table.order, console)
        _print_grid(_grid(table, columns), console)
        for note in flag_notes(table, columns):
            console.print(Text(note, "yellow"), soft_wrap=True)
        for problem in table.problems:
            said = Text.assemble((problem.label, "bold"), " ", (problem_text(problem), "red"), ": ")
            console.print(said.append(one_line(problem.reason)), soft_wrap=True)
        if more := [column.name for column in table.columns if column not in columns and has_something(table, column)]:
            console.print(Text(f"not shown here: {', '.join(more)}", "dim"), soft_wrap=True)
        if table.unanswered:
            console.print(Text(unanswered_line(table), "dim"), soft_wrap=True)
        console.print()
    for line in legend(tables, lambda table: fitting[table.protocol_hash]):
        console.print(Text(line, "dim"))


def print_standings(found: Sequence[tuple[Table, Standings | None]], console: Console) -> None:
    """Print for every table how its models stand in a column, and as many differences between them as fit."""
    if len(found) > 1:
        differing = ", ".join(found[0][0].differs)
        console.print(f"{len(found)} protocols, not ranked together: they differ in {differing}.\n", markup=False)
    for table, standing in found:
        _print_heading(
            table, f"{order_text(standing.column)}; differences are row less column" if standing else "", console
        )
        if standing is None:
            console.print("no column has two models that can be ranked\n")
        else:
            _print_standing(table, standing, console)
    shown = [(table, standing) for table, standing in found if standing is not None]
    columns = {table.protocol_hash: [standing.column] for table, standing in shown}
    for line in legend([table for table, _ in shown], lambda table: columns[table.protocol_hash]):
        console.print(Text(line, "dim"))
    differences = [between for _, standing in shown for between in standing.differences.values()]
    for line in ([RANKS] if any(standing.ranked for _, standing in shown) else []) + difference_legend(differences):
        console.print(Text(line, "dim"))


def print_failures(rows: Sequence[FailureRow], runs: int, console: Console, *, verbose: bool = False) -> None:
    """Print how much of so many runs failed, and three lines on each failure: what, why, and what it had used.

    `verbose` adds its traceback and the end of its log.
    """
    console.print(summary(rows, runs), markup=False)
    for row in rows:
        console.print()
        console.print(Text.assemble((row.title, "bold"), ": ", (row.what, "red")), soft_wrap=True)
        _print_indented(row.reason, console)
        about = (row.end, row.budget, row.memory, f"run {row.key}")
        _print_indented(" · ".join(part for part in about if part), console, style="dim")
        if verbose:
            _print_indented(row.traceback, console)
            if row.log:
                _print_indented("the end of its log:", console, style="dim")
                _print_indented(row.log, console)


def _print_indented(text: str, console: Console, style: str = "") -> None:
    for line in text.splitlines():
        console.print(Text(f"    {line}", style), soft_wrap=True)


def _print_standing(table: Table, standing: Standings, console: Console) -> None:
    column = standing.column
    bases = {basis_text(between) for between in standing.differences.values()}
    others = [row.label for row in standing.rows if any(row.label == other for _, other in standing.differences)]
    shown = list(others)
    while console.is_terminal and shown and _width(_standing_grid(standing, shown, bases), console) > console.width:
        shown.pop()
    _print_grid(_standing_grid(standing, shown, bases), console)
    if len(bases) == 1:
        console.print(f"differences: {bases.pop()}", style="dim")
    for note in flag_notes(table, [column]):
        console.print(Text(note, "yellow"), soft_wrap=True)
    if more := others[len(shown) :]:
        console.print(Text(f"not shown here: the differences to {', '.join(more)}", "dim"), soft_wrap=True)
    console.print()


def _standing_grid(standing: Standings, others: Sequence[str], bases: Collection[str]) -> Grid:
    column = standing.column
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    grid.add_column("model", no_wrap=True)
    grid.add_column("n", justify="right", no_wrap=True)
    grid.add_column(Text(f"{_broken(column.name)}\n{header(column)}".rstrip()), justify="right", no_wrap=True)
    grid.add_column("rank", justify="right", no_wrap=True)
    for other in others:
        grid.add_column(Text(f"less\n{wrapped(other, OTHER_WIDTH)}"), justify="right", no_wrap=True)
    for row in standing.rows:
        cell = row.cells[column.name]
        cells = []
        for other in others:
            between = standing.differences.get((row.label, other))
            text = "" if between is None else difference_text(between)
            cells.append(Text(text, "" if between is not None and between.distinguishable else "dim"))
            if between is not None and len(bases) > 1:
                cells[-1].append(f"\n{basis_text(between)}", "dim")
        grid.add_row(_label(row), _seeds(row), _cell(cell, column), rank_text(cell), *cells)
    return grid


def _print_heading(table: Table, order: str, console: Console) -> None:
    console.print(Text(table.title, "bold"), soft_wrap=True)
    for line in (differs_line(table) and f"differs from the other tables: {differs_line(table)}", order):
        if line:
            console.print(Text(line, "dim"), soft_wrap=True)


def _print_grid(grid: Grid, console: Console) -> None:
    width = max(console.width, _width(grid, console))  # Console.print would cut it to the console's
    console.print(Segments(console.render(grid, console.options.update(width=width))), crop=False, end="")


def _fitting(table: Table, console: Console) -> list[Column]:
    columns = shown_columns(table)
    while console.is_terminal and columns and _width(_grid(table, columns), console) > console.width:
        columns.pop()
    return columns


def _width(grid: Grid, console: Console) -> int:
    return Measurement.get(console, console.options.update(max_width=10_000), grid).maximum


def _grid(table: Table, columns: Sequence[Column]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    grid.add_column("model", no_wrap=True)
    grid.add_column("n", justify="right", no_wrap=True)
    for column in columns:
        grid.add_column(Text(f"{_broken(column.name)}\n{header(column)}".rstrip()), justify="right", no_wrap=True)
    above = None
    for row in table.rows:
        if row.is_reference and above is False:
            grid.add_section()
        above = row.is_reference
        style = "dim" if row.is_reference else ""
        grid.add_row(_label(row), _seeds(row), *(_cell(row.cells[c.name], c) for c in columns), style=style)
    return grid


def _label(row: Row) -> Text:
    return Text(wrapped(row.label, LABEL_WIDTH))


def _seeds(row: Row) -> Text:
    return Text(row.seeds, "" if row.ok == len(row.keys) else "red")


def _cell(cell: Cell, column: Column) -> Text:
    style = {"value": "bold" if cell.best else "", "failed": "red"}.get(cell.state, "dim")
    return Text(cell_text(cell, column), style)


def _broken(name: str) -> str:
    lines = [""]
    for part in name.replace("_", "_ ").split(" "):
        if lines[-1] and len(lines[-1] + part) > NAME_WIDTH:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)

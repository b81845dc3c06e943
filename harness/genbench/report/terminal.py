"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.segment import Segments
from rich.table import Table as Grid
from rich.text import Text

from genbench.report.layout import Cell, Column, Table
from genbench.report.protocols import one_line
from genbench.report.text import cell_text, differs_line, header, legend, problem_text, shown_columns, wrapped

#: Column names are broken after an underscore so that no line is longer than this.
NAME_WIDTH = 12
#: Labels are broken at this many characters.
LABEL_WIDTH = 32


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """Print every table under its heading, what failed and why, and the legend.

    Columns for which a terminal is too narrow are left out from the right and named below; a file gets lines as long
    as they need to be.
    """
    fitting = {table.protocol_hash: _fitting(table, console) for table in tables}
    for table in tables:
        columns = fitting[table.protocol_hash]
        console.print(Text(table.title, "bold"), soft_wrap=True)
        for line in (differs_line(table) and f"differs from the other tables: {differs_line(table)}", table.order):
            if line:
                console.print(Text(line, "dim"), soft_wrap=True)
        grid = _grid(table, columns)
        width = max(console.width, _width(grid, console))  # Console.print would cut it to the console's
        console.print(Segments(console.render(grid, console.options.update(width=width))), crop=False, end="")
        for problem in table.problems:
            said = Text.assemble((problem.label, "bold"), " ", (problem_text(problem), "red"), ": ")
            console.print(said.append(one_line(problem.reason)), soft_wrap=True)
        if more := [column.name for column in table.columns if column not in columns]:
            console.print(Text(f"not shown here: {', '.join(more)}", "dim"), soft_wrap=True)
        console.print()
    for line in legend(tables, lambda table: fitting[table.protocol_hash]):
        console.print(Text(line, "dim"))


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
        seeds = Text(row.seeds, "" if row.ok == len(row.keys) else "red")
        grid.add_row(
            Text(wrapped(row.label, LABEL_WIDTH)), seeds, *(_cell(row.cells[c.name], c) for c in columns), style=style
        )
    return grid


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

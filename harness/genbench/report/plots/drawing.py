"""What all plots share: axes, labels, files."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from matplotlib.transforms import Bbox

from genbench.report.beyond import Plot
from genbench.report.layout import Cell, Column, Row, Table
from genbench.report.plots.style import Colour
from genbench.report.protocols import one_line
from genbench.report.text import NOT_APPLICABLE, wrapped

#: Pixels per inch of the files.
RESOLUTION = 130
#: Of PNG, from 0 to 9: a higher one makes the files a few percent smaller and takes twice as long.
COMPRESSION = 3
#: Inches that are left white around a plot.
MARGIN = 0.1
#: Labels are wrapped at this many characters.
LABEL_WIDTH = 30
#: An axis is logarithmic where the largest value is more than this many times the smallest.
LOG_RATIO = 20

GREY = "0.45"
RED = "#b3261e"

Palette = Mapping[str, Colour]


@dataclass(frozen=True)
class Drawing:
    """A plot that is not yet rendered."""

    figure: Figure
    title: str
    caption: str


def finished(drawing: Drawing, table: Table, name: str) -> Plot:
    """The drawing rendered, with the file name that this plot of this table has."""
    figure, buffer = drawing.figure, io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a label may be in any script
        figure.set_dpi(RESOLUTION)
        frame, packed = _frame(figure), {"compress_level": COMPRESSION}
        figure.savefig(buffer, format="png", dpi=RESOLUTION, bbox_inches=frame, facecolor="white", pil_kwargs=packed)
    file = f"{slug(table.data)}-{slug(table.protocol_hash[:8])}-{name}.png"
    return Plot(file, drawing.title, drawing.caption, buffer.getvalue())


def _frame(figure: Figure) -> Bbox | Literal["tight"]:
    """The part of the figure, in inches, that holds all there is. Left to matplotlib, everything is drawn once more to
    find it, which only an automatic layout needs."""
    if figure.get_layout_engine() is not None:
        return "tight"
    return figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()).padded(MARGIN)


def column_of(table: Table, name: str) -> Column | None:
    """The table's column of this name."""
    return next((column for column in table.columns if column.name == name), None)


def value_of(row: Row, column: Column) -> float | None:
    """The number of a row in a column, if it has one."""
    return row.cells[column.name].value


def new_axes(table: Table, height: float) -> tuple[Figure, Axes]:
    """A figure with axes of this height in inches, titled with the data."""
    figure = Figure(figsize=(6, height))
    ax = figure.subplots()
    name_data(ax, table)
    return figure, ax


def name_data(ax: Axes, table: Table) -> None:
    """Say above the axes what data this is about."""
    ax.set_title(display(table.data), loc="left", y=1.0, fontsize="small", color=GREY)


def leave_out_minor_ticks(axis: Axis) -> None:
    """Spare a logarithmic axis the ticks that nobody sees: none has a mark, and these have labels only on an axis that
    is shorter than a decade. To be called when all is drawn."""
    low, high = axis.get_view_interval()
    if high > 10 * low:
        axis.set_minor_locator(NullLocator())


def name_rows(ax: Axes, labels: Sequence[str]) -> None:
    """Name all rows of a bar plot, those without a bar as well."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_ylabel("")
    ax.grid(visible=False, axis="y")


def legend_outside(ax: Axes, title: str | None = None, markerscale: float = 1) -> None:
    """A legend to the right of the axes, where it hides nothing."""
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), title=title, frameon=False, markerscale=markerscale)


def row_height(rows: Sequence[Row], lines: int = 1) -> float:
    """Inches that a row of a bar plot needs for the longest label, or for so many lines beside it."""
    return 0.26 + 0.17 * max(lines, *(display(row.label).count("\n") + 1 for row in rows))


def error_bar(cells: Sequence[Cell]) -> list[list[float]]:
    """How far the 95% intervals of cells with a number reach below and above it, as matplotlib takes it: (2, N)."""
    pairs = [(cell.value, *(cell.ends or (cell.value, cell.value))) for cell in cells if cell.value is not None]
    return [[max(0.0, value - low) for value, low, _ in pairs], [max(0.0, high - value) for value, _, high in pairs]]


def draw_gap(ax: Axes, position: int, cell: Cell) -> None:
    """Say in place of a bar why there is none."""
    failed = cell.state == "failed"
    text, colour = (cell.word, RED) if failed else (f"{NOT_APPLICABLE} not applicable", GREY)
    ax.text(0.01, position, text, transform=ax.get_yaxis_transform(), va="center", fontsize="small", color=colour)


def display(label: str) -> str:
    """The label wrapped, with nothing in it that matplotlib would take for a formula or for a hidden entry."""
    text = wrapped(label, LABEL_WIDTH).replace("$", r"\$")
    return f"\N{THIN SPACE}{text}" if text.startswith("_") else text


def slug(text: str) -> str:
    """A file name's worth of the text: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", one_line(text)).strip("-")[:60] or "unnamed"

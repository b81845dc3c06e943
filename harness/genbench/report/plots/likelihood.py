"""How probable the models find test data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from genbench.report.layout import Column, Row, Table
from genbench.report.plots.drawing import (
    GREY,
    Colour,
    Drawing,
    Palette,
    column_of,
    display,
    draw_gap,
    models,
    name_rows,
    new_axes,
    row_height,
    value_of,
)
from genbench.report.text import cell_text, header

#: The first of these that any model has is shown.
LIKELIHOODS = ("bits_per_dim", "log_likelihood", "elbo")


def draw_likelihood(table: Table, palette: Palette) -> Drawing | None:
    """One bar per model, best first, with the baseline of independent pixels."""
    column = _first_with_values(table, LIKELIHOODS)
    if column is None:
        return None
    rows = _ranked([row for row in models(table) if row.cells[column.name].state != "absent"], column)
    figure, ax = new_axes(table, 0.5 + len(rows) * row_height(rows))
    _bars(ax, rows, column, [palette[row.label] for row in rows])
    baseline = next((row.cells[column.name].value for row in rows if row.model == "independent"), None)
    if baseline is not None:
        ax.axvline(baseline, color=GREY, linestyle="--", linewidth=1, zorder=3)
    ax.set_xlabel(f"{column.name}, test data ({header(column)})")
    return Drawing(
        figure,
        f"Likelihood: {column.name}",
        "Mean over seeds with its 95% interval."
        + (" The dashed line is the baseline of independent pixels." if baseline is not None else ""),
    )


def _first_with_values(table: Table, names: Iterable[str]) -> Column | None:
    for name in names:
        column = column_of(table, name)
        if column is not None and any(value_of(row, column) is not None for row in models(table)):
            return column
    return None


def _bars(ax: Axes, rows: Sequence[Row], column: Column, colours: Sequence[Colour]) -> None:
    """Horizontal bars with intervals, the numbers in a column on the right; a gap says why there is no bar."""
    labels = [display(row.label) for row in rows]
    cells = [row.cells[column.name] for row in rows]
    values = [np.nan if cell.value is None else cell.value for cell in cells]
    sns.barplot(
        y=labels,
        x=values,
        hue=labels,
        order=labels,
        hue_order=labels,
        palette=list(colours),
        saturation=1,
        legend=False,
        errorbar=None,
        width=0.7,
        ax=ax,
    )
    for position, cell in enumerate(cells):
        if cell.value is None:
            draw_gap(ax, position, cell)
            continue
        if cell.interval is not None:
            ax.errorbar(cell.value, position, xerr=cell.interval, fmt="none", ecolor="0.2", elinewidth=1.2, capsize=3)
        text = cell_text(cell, column)
        ax.text(1.02, position, text, transform=ax.get_yaxis_transform(), va="center", fontsize="small")
    name_rows(ax, labels)


def _ranked(rows: Sequence[Row], column: Column) -> list[Row]:
    """Best first; those without a value last."""
    sign = -1 if column.better == "higher" else 1

    def rank(row: Row) -> tuple[bool, float]:
        value = value_of(row, column)
        return value is None, 0.0 if value is None else sign * value

    return sorted(rows, key=rank)

"""Quality against the budget spent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from genbench.report.beyond import Lines
from genbench.report.layout import Row, Table, models
from genbench.report.plots.drawing import (
    Drawing,
    Palette,
    column_of,
    display,
    leave_out_minor_ticks,
    legend_outside,
    new_axes,
)
from genbench.report.text import header


def draw_quality(table: Table, lines: Lines, palette: Palette) -> Drawing:
    """The lines, a model's in its colour."""
    figure, ax = new_axes(table, 3.8)
    for row in models(table):
        look: dict[str, Any] = {
            "color": palette[row.label],
            "marker": "o",
            "markeredgewidth": 0.75,
            "markeredgecolor": "white",
        }
        for place, line in enumerate(lines.found.get(row.label, ())):
            ax.plot(*np.array(sorted(line)).T, label="" if place else _legend_label(row), **look)
    column = column_of(table, lines.name)
    ax.set_xscale("log")
    ax.set(
        xlabel="training time spent (s)" if lines.timed else "share of the budget spent",
        ylabel=f"{display(lines.name)}, validation data\n{display(header(column)) if column else ''}".rstrip(),
    )
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    values = [[value for _, value in line] for same in lines.found.values() for line in same]
    cut = _cut_early(ax, values, higher=column is not None and column.better == "higher")
    leave_out_minor_ticks(ax.xaxis)
    legend_outside(ax)
    of = "model, the mean of its runs" if lines.averaged else "run"
    return Drawing(
        figure,
        f"{lines.name} against the budget spent",
        f"Measured on validation data while training; one line per {of}.{' Early points lie outside.' if cut else ''}",
    )


def _cut_early(ax: Axes, lines: Iterable[Sequence[float]], *, higher: bool) -> bool:
    """Leave the worst of every line's first half out of the frame, where it would flatten all the rest."""
    sign = -1 if higher else 1
    losses = [[sign * value for value in line] for line in lines]
    worst, low = max(map(max, losses)), min(map(min, losses))
    high = max(max(line[len(line) // 2 :]) for line in losses)
    if worst - low <= 3 * (high - low) or high == low:
        return False
    margin = 0.08 * (high - low)
    ends = sorted((sign * (low - margin), sign * (high + margin)))
    ax.set_ylim(ends[0], ends[1])
    return True


def _legend_label(row: Row) -> str:
    """The label, with what became of the model where no run is ok."""
    return display(row.label if row.ok else f"{row.label} ({row.fate})")

"""Fidelity of the samples against the speed at which they are drawn."""

from __future__ import annotations

import seaborn as sns
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from genbench.report.layout import REAL, Table
from genbench.report.plots.drawing import (
    GREY,
    LOG_RATIO,
    Drawing,
    Palette,
    column_of,
    display,
    legend_outside,
    models,
    new_axes,
    value_of,
)
from genbench.report.text import ARROWS

#: Over a range narrower than this ratio, a logarithmic axis would have hardly a tick.
FEW_TICKS = 3


def draw_fidelity(table: Table, palette: Palette) -> Drawing | None:
    """FID against sampled images per second, one point per model, with what real data gets."""
    fid, speed = column_of(table, "fid"), column_of(table, "sample_images_per_s")
    if fid is None or speed is None:
        return None
    found = [(row, row.cells[speed.name].value, row.cells[fid.name].value) for row in models(table)]
    points = [(row, x, y) for row, x, y in found if x is not None and x > 0 and y is not None]
    if not points:
        return None
    figure, ax = new_axes(table, 3.8)
    rows = [row for row, _, _ in points]
    x, y = [x for _, x, _ in points], [y for _, _, y in points]
    labels = [display(row.label) for row in rows]
    colours = {display(row.label): palette[row.label] for row in rows}
    intervals = [row.cells[fid.name].interval or 0.0 for row in rows]
    ax.errorbar(x, y, yerr=intervals, fmt="none", ecolor=GREY, elinewidth=1, zorder=2)
    sns.scatterplot(x=x, y=y, hue=labels, style=labels, palette=colours, s=110, ax=ax, zorder=3)
    legend_outside(ax)
    floor = next((value_of(row, fid) for row in table.rows if row.is_reference and row.model == REAL), None)
    if floor is not None:
        ax.axhline(floor, color=GREY, linestyle="--", linewidth=1)
        ax.text(0.01, floor, REAL, transform=ax.get_yaxis_transform(), va="bottom", fontsize="small", color=GREY)
    shown = [value for value in [*y, floor] if value is not None]
    if min(shown) > 0 and max(shown) > LOG_RATIO * min(shown):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if max(x) > FEW_TICKS * min(x):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if max(x) > LOG_RATIO * min(x) else (1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.set(xlabel="sampling speed (images/s →)", ylabel=f"fid {ARROWS[fid.better]}")
    return Drawing(
        figure,
        "FID against sampling speed",
        f"Better is lower and further right.{' The dashed line is what real data gets.' if floor is not None else ''}",
    )

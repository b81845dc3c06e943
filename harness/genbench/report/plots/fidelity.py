"""Fidelity of the samples against the speed at which they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator, SymmetricalLogLocator

from genbench.report.layout import REAL, Cell, Table, models
from genbench.report.plots.drawing import (
    GREY,
    LOG_RATIO,
    Drawing,
    Palette,
    column_of,
    display,
    error_bar,
    legend_outside,
    new_axes,
)
from genbench.report.plots.style import markers
from genbench.report.text import ARROWS, FLAGGED

#: Over a range narrower than this ratio, a logarithmic axis would have hardly a tick.
FEW_TICKS = 3
#: Square points that a marker covers, and points of its edge.
SIZE, EDGE = 110, 0.84
#: Over a range wider than this ratio, a tick at every power of ten is enough.
MANY_TICKS = 100


def draw_fidelity(table: Table, palette: Palette) -> Drawing | None:
    """FID against sampled images per second, one point per model, with what real data gets."""
    fid, speed = column_of(table, "fid"), column_of(table, "sample_images_per_s")
    if fid is None or speed is None:
        return None
    rows = [row for row in models(table) if row.cells[fid.name].value is not None and row.cells[speed.name].value]
    if not rows:
        return None
    figure, ax = new_axes(table, 3.8)
    speeds, fids = [row.cells[speed.name] for row in rows], [row.cells[fid.name] for row in rows]
    x, y = _values(speeds), _values(fids)
    bars: dict[str, Any] = {"fmt": "none", "ecolor": GREY, "elinewidth": 1, "capsize": 2, "alpha": 0.6, "zorder": 2}
    ax.errorbar(x, y, xerr=error_bar(speeds), yerr=error_bar(fids), **bars)
    for row, at_x, at_y, marker in zip(rows, x, y, markers(len(rows)), strict=True):
        look = {"marker": marker, "color": palette[row.label], "edgecolor": "white", "linewidth": EDGE}
        ax.scatter(at_x, at_y, SIZE, label=display(row.label), zorder=3, **look)
    legend_outside(ax)
    flagged = [(cell, at) for cell, at in zip(fids, zip(x, y, strict=True), strict=True) if cell.flags]
    for _, at in flagged:
        ax.annotate(FLAGGED, at, xytext=(6, 4), textcoords="offset points", zorder=4)
    references = [row.cells[fid.name] for row in table.rows if row.is_reference and row.model == REAL]
    floor = next((cell for cell in references if cell.value is not None), None)
    if floor is not None:
        _draw_floor(ax, floor)
    linear_to = _scale_fid(ax, fids, floor)
    _scale_speed(ax, x)
    ax.set(xlabel="sampling speed (images/s →)", ylabel=f"fid {ARROWS[fid.better]}")
    said = [
        "Better is lower and further right; the bars are 95% intervals, cut off where they leave the frame.",
        "" if floor is None else "The dashed line is what real data gets; corrected for its bias, it may be below 0.",
        "" if linear_to is None else f"The axis of FID is linear up to {linear_to:.2g} and logarithmic above.",
        f"{FLAGGED} flagged: see the notes beneath the table." if flagged else "",
    ]
    return Drawing(figure, "FID against sampling speed", " ".join(filter(None, said)))


def _values(cells: Sequence[Cell]) -> list[float]:
    return [cell.value for cell in cells if cell.value is not None]


def _draw_floor(ax: Axes, floor: Cell) -> None:
    (value,) = _values([floor])
    ax.axhline(value, color=GREY, linestyle="--", linewidth=1)
    if floor.ends is not None:
        ax.axhspan(*floor.ends, color=GREY, alpha=0.15, linewidth=0)
    ax.text(0.01, value, REAL, transform=ax.get_yaxis_transform(), va="bottom", fontsize="small", color=GREY)


def _scale_fid(ax: Axes, fids: Sequence[Cell], floor: Cell | None) -> float | None:
    """Frame the points and the floor, with as much of the bars as does not press them together. Where models are far
    apart, the axis is linear around 0, which a corrected FID may fall below, and logarithmic from the value that is
    returned."""
    values = _values(fids)
    shown = values + _values([floor] if floor else [])
    low, high = min(shown), max(shown)
    ends = [end for cell in fids if cell.ends for end in cell.ends]
    linear_to = max(min((value for value in values if value > 0), default=0.0), (floor and floor.interval) or 0.0)
    if not 0 < LOG_RATIO * linear_to < high:
        span = (high - low) or abs(high) or 1.0
        bottom, top = max(min([low, *ends]), low - span / 4), min(max([high, *ends]), high + span / 2)
        ax.set_ylim(bottom - span / 12, top + span / 12)
        return None
    ax.set_yscale("symlog", linthresh=linear_to, linscale=0.6)
    ax.set_ylim(min(low, 0) - linear_to / 2, 1.3 * min(max([high, *ends]), 3 * high))
    ax.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=linear_to, subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return linear_to


def _scale_speed(ax: Axes, x: Sequence[float]) -> None:
    low, high = min(x), max(x)
    if high > FEW_TICKS * low:
        ax.set_xscale("log")
        ax.set_xlim(low / 1.5, high * 1.5)
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > MANY_TICKS * low else (1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        margin = (high - low) / 4 or high / 4
        ax.set_xlim(low - margin, high + margin)
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))

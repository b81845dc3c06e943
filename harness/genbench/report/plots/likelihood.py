"""How probable the models find test data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from genbench.report.layout import Cell, Column, Kind, Row, Table, models
from genbench.report.plots.drawing import (
    GREY,
    Drawing,
    Palette,
    column_of,
    display,
    draw_gap,
    error_bar,
    name_rows,
    new_axes,
    row_height,
)
from genbench.report.plots.style import Colour
from genbench.report.text import header, number_text

#: The first of these that any model has is shown, with the same by annealed importance sampling (AIS).
LIKELIHOODS = (("bits_per_dim", "ais_bits_per_dim"), ("log_likelihood", "ais_log_likelihood"), ("elbo", ""))
#: Its other side, where it has one, in nats.
AIS, OTHER_SIDE = "ais_log_likelihood", "ais_log_likelihood_upper"

#: Points to where the truth lies, seen from a bound.
POINTERS: dict[Kind, str] = {"upper_bound": "<", "lower_bound": ">"}
_OPPOSITE: dict[Kind, Kind] = {"upper_bound": "lower_bound", "lower_bound": "upper_bound"}
_ABSENT = Cell("absent")


@dataclass(frozen=True)
class _Bar:
    """What is known of one model: its own number, that of AIS, and AIS's bound from the other side."""

    row: Row
    own: Cell
    ais: Cell
    other: Cell

    @property
    def best_known(self) -> float | None:
        """The model's own number, or that of AIS."""
        return self.ais.value if self.own.value is None else self.own.value


def draw_likelihood(table: Table, palette: Palette) -> Drawing | None:
    """One bar per model, best first, with the baseline of independent pixels and the bounds by AIS, where there are
    any."""
    for own, ais in LIKELIHOODS:
        column, by_ais = column_of(table, own), column_of(table, ais)
        bars = [_Bar(row, _cell(row, column), _cell(row, by_ais), _other_side(row, by_ais)) for row in models(table)]
        if any(bar.best_known is not None for bar in bars):
            break
    else:
        return None
    shown = by_ais if column is None or all(bar.own.value is None for bar in bars) else column
    assert shown is not None
    sign = -1 if shown.better == "higher" else 1
    bars = [bar for bar in bars if {bar.own.state, bar.ais.state} != {"absent"}]
    bars.sort(key=lambda bar: (bar.best_known is None, sign * (bar.best_known or 0.0)))
    annealed = any(bar.ais.value is not None for bar in bars)
    rows = [bar.row for bar in bars]
    figure, ax = new_axes(table, 0.5 + len(rows) * row_height(rows, 2 if annealed else 1))
    _draw_bars(ax, bars, shown, [palette[row.label] for row in rows])
    baseline = next((bar.own.value for bar in bars if bar.row.model == "independent"), None)
    if baseline is not None:
        ax.axvline(baseline, color=GREY, linestyle="--", linewidth=1, zorder=3)
    if by_ais is not None and annealed:
        for position, bar in enumerate(bars):
            _draw_ais(ax, position, bar)
        _explain_ais(ax, bars)
    for position, bar in enumerate(bars):
        text = _text(bar, shown, by_ais)
        ax.text(1.02, position, text, transform=ax.get_yaxis_transform(), va="center", fontsize="small")
    ax.set_xlabel(f"{shown.name}, test data ({display(header(shown))})")
    said = [
        "Mean over seeds with its 95% interval.",
        "The dashed line is the baseline of independent pixels." if baseline is not None else "",
        "Triangles and brackets are bounds by annealed importance sampling (AIS); they hold in expectation, and are "
        "often over fewer test points."
        if annealed
        else "",
    ]
    return Drawing(figure, f"Likelihood: {shown.name}", " ".join(filter(None, said)))


def _cell(row: Row, column: Column | None) -> Cell:
    return _ABSENT if column is None else row.cells[column.name]


def _other_side(row: Row, by_ais: Column | None) -> Cell:
    """The bound of an energy model from the other side, in the unit of `by_ais`, which is proportional to nats."""
    nats, other = row.cells.get(AIS, _ABSENT), row.cells.get(OTHER_SIDE, _ABSENT)
    side = _cell(row, by_ais)
    if not nats.value or other.value is None or other.kind is None or side.value is None:
        return _ABSENT
    scale = side.value / nats.value
    low, high = sorted(scale * end for end in other.ends or (other.value, other.value))
    return replace(
        other,
        value=scale * other.value,
        interval=None if other.interval is None else abs(scale) * other.interval,
        ends=None if other.ends is None else (low, high),
        kind=_OPPOSITE.get(other.kind, other.kind) if scale < 0 else other.kind,
    )


def _draw_bars(ax: Axes, bars: Sequence[_Bar], column: Column, colours: Sequence[Colour]) -> None:
    """Horizontal bars with intervals; a gap says why there is neither a bar nor a bound."""
    values = [np.nan if bar.own.value is None else bar.own.value for bar in bars]
    ax.barh(range(len(bars)), values, 0.7, color=colours)
    _draw_errors(ax, range(len(bars)), [bar.own for bar in bars])
    for position, bar in enumerate(bars):
        if bar.own.value is None and bar.ais.value is None:
            draw_gap(ax, position, bar.ais if bar.own.state == "absent" else bar.own)
    name_rows(ax, [display(bar.row.label) for bar in bars])


def _draw_errors(ax: Axes, positions: Iterable[float], cells: Iterable[Cell]) -> None:
    found = [(cell.value, at, cell) for at, cell in zip(positions, cells, strict=True) if cell.value is not None]
    known = [(value, at, cell) for value, at, cell in found if cell.ends is not None]
    bars = error_bar([cell for _, _, cell in known])
    look: dict[str, Any] = {"fmt": "none", "ecolor": "0.2", "elinewidth": 1.2, "capsize": 3, "zorder": 4}
    ax.errorbar([value for value, _, _ in known], [at for _, at, _ in known], xerr=bars, **look)


def _draw_ais(ax: Axes, position: int, bar: _Bar) -> None:
    """A triangle that points to where the truth lies, or, with bounds from both sides, a bracket."""
    if bar.ais.value is None or bar.ais.kind is None:
        return
    at = position if bar.own.value is None else position + 0.2
    _draw_errors(ax, [at, at], [bar.ais, bar.other])
    if bar.other.value is None:
        ax.plot(bar.ais.value, at, **_pointer(bar.ais.kind))
    else:
        ax.plot([bar.ais.value, bar.other.value], [at, at], **_BRACKET)


def _pointer(kind: Kind) -> dict[str, Any]:
    look = {"markersize": 9, "color": "black", "markeredgecolor": "white", "linestyle": "none", "zorder": 5}
    return look | {"marker": POINTERS.get(kind, "o")}


_BRACKET: dict[str, Any] = {
    "color": "black",
    "linewidth": 2,
    "marker": "|",
    "markersize": 14,
    "markeredgewidth": 2,
    "zorder": 5,
}


def _explain_ais(ax: Axes, bars: Sequence[_Bar]) -> None:
    """A legend beneath the axes."""
    alone = [bar.ais.kind for bar in bars if bar.ais.value is not None and bar.other.value is None]
    handles = [
        Line2D([], [], **_pointer(kind), label="AIS, a bound: the truth lies where it points")
        for kind in dict.fromkeys(alone)
        if kind
    ]
    if any(bar.other.value is not None for bar in bars):
        handles.append(Line2D([], [], **_BRACKET, label="AIS from both sides: the truth lies between"))
    figure = ax.get_figure()
    assert figure is not None
    beneath = ax.transAxes + ScaledTranslation(0, -0.6, figure.dpi_scale_trans)
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=beneath,
        frameon=False,
        fontsize="small",
        borderaxespad=0,
    )


def _text(bar: _Bar, column: Column, by_ais: Column | None) -> str:
    """The numbers, those by AIS on a line of their own."""
    lines = [number_text(bar.own, column)] if bar.own.value is not None else []
    if by_ais is not None and bar.ais.value is not None:
        sides = [cell for cell in (bar.ais, bar.other) if cell.value is not None]
        sides.sort(key=lambda cell: cell.kind == "upper_bound")
        lines.append(f"AIS {', '.join(number_text(cell, by_ais) for cell in sides)}")
    return "\n".join(lines)

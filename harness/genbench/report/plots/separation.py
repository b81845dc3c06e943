"""How well codes keep classes apart, beside PCA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.report.layout import Column, Row, Table, models
from genbench.report.plots.drawing import (
    Drawing,
    column_of,
    display,
    draw_gap,
    error_bar,
    legend_outside,
    name_data,
    name_rows,
    row_height,
    value_of,
)
from genbench.report.plots.style import colours
from genbench.report.text import number_text

#: What is drawn: its name, its column, and that of its difference to PCA.
SCORES = (
    ("kNN accuracy", "knn_accuracy", "knn_vs_pca"),
    ("linear probe accuracy", "probe_accuracy", "probe_vs_pca"),
)
#: What the bars are, with their colours.
CODE, PCA = ("its code", colours(1)[0]), ("PCA", (0.72, 0.72, 0.72))
#: Of a pair of bars, how thick each is, and how far its middle is from that of the pair.
HEIGHT, ASIDE = 0.4, 0.2


def draw_separation(table: Table) -> Drawing | None:
    """For each score a panel, and in it for each model two bars: its code and PCA."""
    scores = [(title, column_of(table, own), column_of(table, gain)) for title, own, gain in SCORES]
    shown = [
        (title, own, gain)
        for title, own, gain in scores
        if own and gain and any(value_of(row, own) is not None for row in models(table))
    ]
    rows = [row for row in models(table) if any(row.cells[own.name].state != "absent" for _, own, _ in shown)]
    if not rows:
        return None
    figure = Figure(figsize=(3.6 * len(shown) + 1, 0.7 + len(rows) * max(0.5, row_height(rows))))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for ax, (title, own, gain) in zip(panels, shown, strict=True):
        _pairs(ax, rows, own, gain)
        ax.set(xlim=(0, 1), xlabel=title)
        if ax is panels[-1]:
            legend_outside(ax)
    name_data(panels[0], table)
    name_rows(panels[0], [display(row.label) for row in rows])  # and with them those of the others
    return Drawing(
        figure,
        "Separation of the classes: codes and PCA",
        "Accuracy of simple classifiers on the model's codes of test data and on PCA with as many dimensions, and the "
        "paired difference of the two; lines and ± are 95% intervals.",
    )


def _pairs(ax: Axes, rows: Sequence[Row], own: Column, gain: Column) -> None:
    codes = np.array([value_of(row, own) for row in rows], dtype=float)
    gains = np.array([value_of(row, gain) for row in rows], dtype=float)
    positions = np.arange(len(rows))
    for (name, colour), numbers, aside in ((CODE, codes, -ASIDE), (PCA, codes - gains, ASIDE)):
        ax.barh(positions + aside, numbers, HEIGHT, color=colour, label=name)
    known = ~np.isnan(codes)
    bars = error_bar([row.cells[own.name] for row in rows])
    ax.errorbar(codes[known], positions[known] - ASIDE, xerr=bars, fmt="none", ecolor="0.2", elinewidth=1)
    for position, row in enumerate(rows):
        cell, difference = row.cells[own.name], row.cells[gain.name]
        if cell.value is None:
            draw_gap(ax, position, cell)
        elif difference.value is not None:
            text = f"difference: {number_text(difference, gain)}"
            ax.text(0.02, position + ASIDE, text, va="center", fontsize="x-small", color="0.2")
    ax.grid(visible=False, axis="y")

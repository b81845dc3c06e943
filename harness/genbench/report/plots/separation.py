"""How well codes keep classes apart, beside PCA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.report.layout import Column, Row, Table
from genbench.report.plots.drawing import (
    Drawing,
    colours,
    column_of,
    display,
    draw_gap,
    error_bar,
    legend_outside,
    models,
    name_data,
    name_rows,
    row_height,
    value_of,
)
from genbench.report.text import number_text

#: What is drawn: its name, its column, and that of its difference to PCA.
SCORES = (
    ("kNN accuracy", "knn_accuracy", "knn_vs_pca"),
    ("linear probe accuracy", "probe_accuracy", "probe_vs_pca"),
)
COLOURS = {"its code": colours(1)[0], "PCA": (0.72, 0.72, 0.72)}


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
        else:
            ax.get_legend().remove()
    name_data(panels[0], table)
    return Drawing(
        figure,
        "Separation of the classes: codes and PCA",
        "Accuracy of simple classifiers on the model's codes of test data and on PCA with as many dimensions, and the "
        "paired difference of the two; lines and ± are 95% intervals.",
    )


def _pairs(ax: Axes, rows: Sequence[Row], own: Column, gain: Column) -> None:
    labels = [display(row.label) for row in rows]
    codes = np.array([value_of(row, own) for row in rows], dtype=float)
    gains = np.array([value_of(row, gain) for row in rows], dtype=float)
    bars = pd.DataFrame({"its code": codes, "PCA": codes - gains, "model": labels})
    sns.barplot(
        bars.melt("model", var_name="representation", value_name="accuracy"),
        y="model",
        x="accuracy",
        hue="representation",
        order=labels,
        palette=COLOURS,
        errorbar=None,
        saturation=1,
        ax=ax,
    )
    for position, row in enumerate(rows):
        cell, difference = row.cells[own.name], row.cells[gain.name]
        if cell.value is None:
            draw_gap(ax, position, cell)
            continue
        ax.errorbar(cell.value, position - 0.2, xerr=error_bar([cell]), fmt="none", ecolor="0.2", elinewidth=1)
        if difference.value is not None:
            text = f"difference: {number_text(difference, gain)}"
            ax.text(0.02, position + 0.2, text, va="center", fontsize="x-small", color="0.2")
    name_rows(ax, labels)

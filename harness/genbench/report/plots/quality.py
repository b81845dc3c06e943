"""Quality against the budget spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from genbench.report.columns import in_order
from genbench.report.layout import Row, Table
from genbench.report.plots.drawing import Drawing, Palette, column_of, display, legend_outside, models, new_axes
from genbench.report.text import header

if TYPE_CHECKING:
    from genbench.results.schema import Record


#: With more runs than this, lines are means over a model's seeds.
LINES = 100


def draw_quality(table: Table, by_key: Mapping[str, Record], palette: Palette) -> Drawing | None:
    """The first metric that the curves have, over training time; over the budget's share where it is not in seconds."""
    keyed = [(row, key) for row in models(table) for key in row.keys]
    curves = [(row, key, by_key[key].curve) for row, key in keyed if by_key[key].curve]
    names = in_order(name for _, _, curve in curves for point in curve for name in point.metrics)
    if not names:
        return None
    name = names[0]
    timed = all(by_key[key].budget.allowed.seconds for _, key, _ in curves)
    labels = {row.label: _legend_label(row) for row in models(table)}
    points = pd.DataFrame(
        [
            (labels[row.label], key, point.seconds if timed else point.fraction, point.metrics[name])
            for row, key, curve in curves
            for point in curve
            if name in point.metrics and (point.seconds if timed else point.fraction) > 0
        ],
        columns=["model", "run", "spent", "value"],
    )
    if points.empty:
        return None
    if averaged := len(curves) > LINES:
        points = _mean_lines(points)
    figure, ax = new_axes(table, 3.8)
    colours = {labels[row.label]: palette[row.label] for row in models(table)}
    sns.lineplot(
        points, x="spent", y="value", hue="model", units="run", estimator=None, palette=colours, marker="o", ax=ax
    )
    column = column_of(table, name)
    ax.set_xscale("log")
    ax.set(
        xlabel="training time spent (s)" if timed else "share of the budget spent",
        ylabel=f"{display(name)}, validation data\n{display(header(column)) if column else ''}".rstrip(),
    )
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    cut = _cut_early(ax, points, higher=column is not None and column.better == "higher")
    legend_outside(ax)
    of = "model, the mean of its runs" if averaged else "run"
    return Drawing(
        figure,
        f"{name} against the budget spent",
        f"Measured on validation data while training; one line per {of}.{' Early points lie outside.' if cut else ''}",
    )


def _mean_lines(points: pd.DataFrame) -> pd.DataFrame:
    """One line per model in place of one per run: the means of its runs' first points, of their second ones, …"""
    place = points.groupby("run").cumcount().rename("place")
    means = points.groupby(["model", place], sort=False)[["spent", "value"]].mean().reset_index()
    return means.assign(run=means["model"])


def _cut_early(ax: Axes, points: pd.DataFrame, *, higher: bool) -> bool:
    """Leave the worst of every line's first half out of the frame, where it would flatten all the rest."""
    sign = -1 if higher else 1
    loss = sign * points["value"]
    late = points.groupby("run")["value"].transform(lambda line: np.arange(len(line)) >= len(line) // 2)
    low, high, worst = loss.min(), loss[late.astype(bool)].max(), loss.max()
    if worst - low <= 3 * (high - low) or high == low:
        return False
    margin = 0.08 * (high - low)
    ends = sorted((sign * (low - margin), sign * (high + margin)))
    ax.set_ylim(ends[0], ends[1])
    return True


def _legend_label(row: Row) -> str:
    """The label, with what became of the model where no run is ok."""
    return display(row.label if row.ok else f"{row.label} ({row.fate})")

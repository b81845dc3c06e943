"""Codes in the plane, beside PCA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from genbench.report.layout import Row, Table
from genbench.report.plots.drawing import Drawing, Plot, colours, display, finished, legend_outside, slug

#: Points that are drawn, at most.
POINTS = 2000
#: Classes that a legend lists, at most.
CLASSES = 20


def draw_codes(table: Table, row: Row, codes: Mapping[str, Any], dimension: int | None) -> Plot:
    """Two scatter plots side by side: PCA of the test data and the model's codes, coloured by class.

    Args:
        table: the table in which the model stands.
        row: the model.
        codes: `pca_2d` and `code_2d` (N, 2), `y` (N,), and maybe `knn_accuracy` and `pca_knn_accuracy`.
        dimension: of the codes in which the scores were measured.
    """
    with sns.axes_style("white"), sns.plotting_context("notebook", font_scale=0.9):
        figure = Figure(figsize=(8.4, 4))
        panels = figure.subplots(1, 2)
        figure.subplots_adjust(wspace=0.06)
        y = np.asarray(codes["y"])[:POINTS]
        classes = sorted(set(y.tolist()))
        palette = dict(zip(classes, colours(len(classes)), strict=True))
        for ax, name, points, score in (
            (panels[0], "PCA", "pca_2d", "pca_knn_accuracy"),
            (panels[1], display(row.label), "code_2d", "knn_accuracy"),
        ):
            plane = np.asarray(codes[points])[:POINTS]
            last = ax is panels[1] and len(classes) <= CLASSES
            sns.scatterplot(
                x=plane[:, 0], y=plane[:, 1], hue=y, palette=palette, s=14, linewidth=0, ax=ax, legend=last and "full"
            )
            measured = f"\nkNN accuracy {float(codes[score]):.3f}" if score in codes else ""
            at = f" in {dimension} dimensions" if measured and dimension else ""
            ax.set(title=f"{name}{measured}{at}", xticks=[], yticks=[])
            ax.set_aspect("equal", adjustable="datalim")
        if len(classes) <= CLASSES:
            legend_outside(panels[1], title="class", markerscale=2)
        drawing = Drawing(
            figure,
            f"Codes of {row.label} beside PCA",
            "Test data, one colour per class: the first two principal components, and the codes (their first two "
            "principal components where they have more than two dimensions).",
        )
        return finished(drawing, table, f"codes-{slug(row.label)}-{row.keys[0][:6]}")

"""Codes in the plane: one panel per model, PCA's first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genbench.report.beyond import Plot
from genbench.report.layout import Table
from genbench.report.plots.drawing import Drawing, display, finished
from genbench.report.plots.style import Colour, colours, style

#: The model whose codes are PCA's.
PCA = "pca"
#: Points of a panel, classes that the legend lists, and panels in a row, at most.
POINTS, CLASSES, ACROSS = 2000, 20, 4
#: Quantiles of either coordinate that a panel is large enough for: a few far points would press the others together.
SHOWN = (0.01, 0.99)
#: Inches of a panel.
SIDE = 2.6


@dataclass(frozen=True)
class Codes:
    """What one model's codes look like.

    Attributes:
        model: its name without options.
        arrays: `code_2d` and `pca_2d` (N, 2), `y` (N,), and maybe the scores of either kind of codes (`knn_accuracy`,
            `pca_knn_accuracy`, …).
        dimension: of the codes that the scores are of.
    """

    label: str
    model: str
    arrays: Mapping[str, Any]
    dimension: int | None


def draw_latents(table: Table, models: Sequence[Codes]) -> Plot:
    """The figure of all models of a table that have codes."""
    drawing = Drawing(
        latents(models),
        f"Test data in latent space: {table.data}",
        "One colour per class; of codes of more than two dimensions, the first two principal components. All panels "
        "are square, with the same scale on both axes, and large enough for the middle 98% of either coordinate. "
        "Scores are of the whole codes; beneath them, those of PCA with as many dimensions.",
    )
    return finished(drawing, table, "latents")


def latents(models: Sequence[Codes]) -> Figure:
    """Scatter plots of the test data's codes, coloured by class, all by the same rules."""
    first = [_pca(models)] if all(codes.model != PCA for codes in models) else []
    panels = [*first, *sorted(models, key=lambda codes: codes.model != PCA)]
    classes = sorted({label for codes in panels for label in np.asarray(codes.arrays["y"])[:POINTS].tolist()})
    palette = dict(zip(classes, colours(len(classes)), strict=True))
    rows = -(-len(panels) // ACROSS)
    columns = -(-len(panels) // rows)
    titles = [_title(codes) for codes in panels]
    lines = max(title.count("\n") + 1 for title in titles)
    with style(grid=False, scale=0.8):
        figure = Figure(figsize=(SIDE * columns, (SIDE + 0.19 * lines) * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, codes, title in zip(axes, panels, titles, strict=False):
            _scatter(ax, codes.arrays, palette)
            ax.set_title(title, fontsize="small")
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        if len(classes) <= CLASSES:
            dots = [Line2D([], [], marker="o", linestyle="", color=palette[label], label=label) for label in classes]
            figure.legend(handles=dots, title="class", loc="outside right center", frameon=False)
    return figure


def _pca(models: Sequence[Codes]) -> Codes:
    """PCA's codes, as the models' own metric left them; with scores where all models have as many dimensions."""
    arrays = models[0].arrays
    scores = {name.removeprefix("pca_"): value for name, value in arrays.items() if name.startswith("pca_")}
    (dimension, *others) = {codes.dimension for codes in models}
    kept = {} if others else scores
    return Codes("PCA", PCA, {**kept, "code_2d": arrays["pca_2d"], "y": arrays["y"]}, None if others else dimension)


def _scatter(ax: Axes, arrays: Mapping[str, Any], palette: Mapping[int, Colour]) -> None:
    plane = np.asarray(arrays["code_2d"])[:POINTS]
    shades = [palette[label] for label in np.asarray(arrays["y"])[:POINTS].tolist()]
    ax.scatter(plane[:, 0], plane[:, 1], c=shades, s=6, linewidth=0)
    low, high = np.quantile(plane, SHOWN, axis=0)
    middle = (low + high) / 2
    reach = 0.6 * max(float((high - low).max()), 1e-6 * max(1.0, float(np.abs(middle).max())))
    ax.set(
        xticks=[], yticks=[], xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach)
    )
    ax.set_aspect("equal", adjustable="box")


def _title(codes: Codes) -> str:
    lines = [display(codes.label)]
    own = _scores(codes.arrays, "")
    if own:
        lines.append(own + (f" in {codes.dimension}D" if codes.dimension else ""))
    if codes.model != PCA and (pca := _scores(codes.arrays, "pca_")):
        lines.append(f"(PCA: {pca})")
    return "\n".join(lines)


def _scores(arrays: Mapping[str, Any], prefix: str) -> str:
    named = {"kNN": f"{prefix}knn_accuracy", "silhouette": f"{prefix}silhouette"}
    return ", ".join(f"{what} {float(arrays[name]):.2f}" for what, name in named.items() if name in arrays)

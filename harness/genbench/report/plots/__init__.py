"""The plots of a comparison. Importing this brings matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.report.beyond import Beyond, Plot
from genbench.report.layout import Table
from genbench.report.plots.collapse import draw_collapse
from genbench.report.plots.drawing import Palette, finished
from genbench.report.plots.fidelity import draw_fidelity
from genbench.report.plots.likelihood import draw_likelihood
from genbench.report.plots.quality import draw_quality
from genbench.report.plots.separation import draw_separation
from genbench.report.plots.style import colours, style

__all__ = ["Palette", "draw_plots", "model_palette"]


def model_palette(labels: Sequence[str]) -> Palette:
    """One colour for every model's label, the same in all plots."""
    return dict(zip(labels, colours(len(labels)), strict=True))


def draw_plots(table: Table, more: Beyond, palette: Palette) -> list[Plot]:
    """The plots of one table for which there is data."""
    lines, levels = more.lines, more.levels
    drawers = {
        "quality": lambda: draw_quality(table, lines, palette) if lines else None,
        "likelihood": lambda: draw_likelihood(table, palette),
        "fidelity": lambda: draw_fidelity(table, palette),
        "separation": lambda: draw_separation(table),
        "collapse": lambda: draw_collapse(table, levels, palette) if levels else None,
    }
    plots = []
    with style():
        for name, draw in drawers.items():
            if (drawing := draw()) is not None:
                plots.append(finished(drawing, table, name))
    return plots

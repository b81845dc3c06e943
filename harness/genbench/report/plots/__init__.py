"""The plots of a comparison. Importing this brings matplotlib, pandas and seaborn."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import seaborn as sns

from genbench.report.layout import Table
from genbench.report.plots.collapse import draw_collapse
from genbench.report.plots.drawing import Palette, Plot, colours, finished, models
from genbench.report.plots.fidelity import draw_fidelity
from genbench.report.plots.likelihood import draw_likelihood
from genbench.report.plots.quality import draw_quality
from genbench.report.plots.separation import draw_separation

if TYPE_CHECKING:
    from genbench.results.schema import Record

__all__ = ["Palette", "Plot", "draw_plots", "model_palette", "write_plots"]


def model_palette(tables: Iterable[Table]) -> Palette:
    """One colour for every model's label, the same in all plots."""
    labels = list(dict.fromkeys(row.label for table in tables for row in models(table)))
    return dict(zip(labels, colours(len(labels)), strict=True))


def draw_plots(table: Table, records: Iterable[Record], palette: Palette) -> list[Plot]:
    """The plots of one table for which there is data; `records` are at least those that it was built from."""
    by_key = {record.key: record for record in records}
    drawers = {
        "quality": lambda: draw_quality(table, by_key, palette),
        "likelihood": lambda: draw_likelihood(table, palette),
        "fidelity": lambda: draw_fidelity(table, palette),
        "separation": lambda: draw_separation(table),
        "collapse": lambda: draw_collapse(table, by_key, palette),
    }
    plots = []
    for name, draw in drawers.items():
        with sns.axes_style("whitegrid"), sns.plotting_context("notebook", font_scale=0.9):
            if (drawing := draw()) is not None:
                plots.append(finished(drawing, table, name))
    return plots


def write_plots(plots: Iterable[Plot], out: Path) -> list[Path]:
    """Write the plots to `OUT/plots`; their paths."""
    from genbench.results.store import write_atomically  # late: brings pydantic

    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for plot in plots:
        paths.append(folder / plot.file)
        write_atomically(paths[-1], plot.png)
    return paths

"""Which latent variables are in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from genbench.report.beyond import Level, Levels
from genbench.report.layout import Table
from genbench.report.plots.drawing import Drawing, Palette, display, leave_out_minor_ticks, legend_outside, new_axes

#: Nats beneath which a variable is as good as unused; the axis ends there.
FLOOR = 1e-3
#: How lines of the level next to the data look, and of those above it.
STYLES = ("-", "--", ":", "-.")


def draw_collapse(table: Table, measured: Levels, palette: Palette) -> Drawing:
    """The divergence of every latent variable, largest first, one line per model and level."""
    figure, ax = new_axes(table, max(3.8, 0.6 + 0.42 * sum(map(len, measured.values()))))
    for label, levels in measured.items():
        for height, level in zip(range(len(levels), 0, -1), levels, strict=True):
            name = label if len(levels) == 1 else f"{label}, level {height}"
            _draw_level(ax, level, name, {"color": palette[label], "linestyle": STYLES[(height - 1) % len(STYLES)]})
    ax.set_yscale("log")
    ax.set_ylim(bottom=FLOOR / 1.3)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    leave_out_minor_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="latent variable, by its divergence", ylabel="divergence from the prior, test data (nats)")
    legend_outside(ax, title="active units / variables")
    said = [
        f"KL(q || p) of every variable, the largest first, mean over test data and seeds; lines go on at {FLOOR:g} "
        "where it is less.",
        "A unit is active if its posterior mean varies over test data.",
        "Level 1 is next to the data; a unit there may be active and yet only pass on what those above say."
        if any(len(levels) > 1 for levels in measured.values())
        else "",
    ]
    return Drawing(figure, "Posterior collapse: divergence of every latent variable", " ".join(filter(None, said)))


def _draw_level(ax: Axes, level: Level, name: str, look: Mapping[str, Any]) -> None:
    label = f"{display(name)}: {level.active:.3g} / {level.variables}"
    ax.plot(range(1, len(level.kl) + 1), np.maximum(level.kl, FLOOR), marker="o", markersize=3.5, label=label, **look)

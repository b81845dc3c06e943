"""Which latent variables are in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from genbench.report.layout import Row, Table
from genbench.report.plots.drawing import Drawing, Palette, display, legend_outside, models, new_axes

if TYPE_CHECKING:
    from genbench.results.schema import Record

#: Nats beneath which a variable is as good as unused; the axis ends there.
FLOOR = 1e-3
#: How lines of the level next to the data look, and of those above it.
STYLES = ("-", "--", ":", "-.")


def draw_collapse(table: Table, by_key: Mapping[str, Record], palette: Palette) -> Drawing | None:
    """The divergence of every latent variable, largest first, one line per model and level."""
    measured = [(row, levels) for row in models(table) if (levels := _levels(row, by_key))]
    if not measured:
        return None
    figure, ax = new_axes(table, max(3.8, 0.6 + 0.42 * sum(len(levels[0]) for _, levels in measured)))
    for row, runs in measured:
        for place, same in enumerate(zip(*runs, strict=True)):
            height = len(runs[0]) - place
            name = row.label if len(runs[0]) == 1 else f"{row.label}, level {height}"
            _draw_level(ax, same, name, {"color": palette[row.label], "linestyle": STYLES[(height - 1) % len(STYLES)]})
    ax.set_yscale("log")
    ax.set_ylim(bottom=FLOOR / 1.3)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="latent variable, by its divergence", ylabel="divergence from the prior, test data (nats)")
    ax.legend()
    legend_outside(ax, title="active units / variables")
    said = [
        f"KL(q || p) of every variable, the largest first, mean over test data and seeds; lines go on at {FLOOR:g} "
        "where it is less.",
        "A unit is active if its posterior mean varies over test data.",
        "Level 1 is next to the data; a unit there may be active and yet only pass on what those above say."
        if any(len(runs[0]) > 1 for _, runs in measured)
        else "",
    ]
    return Drawing(figure, "Posterior collapse: divergence of every latent variable", " ".join(filter(None, said)))


def _levels(row: Row, by_key: Mapping[str, Record]) -> list[list[dict[str, Any]]]:
    """What `collapse` measured of every level, that furthest from the data first, for each seed that has it (a model
    that has changed between seeds: for those that are like the first)."""
    values = [value for key in row.keys for value in by_key[key].metrics if value.metric == "collapse"]
    runs = [value.settings["levels"] for value in values if value.settings.get("levels")]
    return [levels for levels in runs if _sizes(levels) == _sizes(runs[0])]


def _sizes(levels: Sequence[Mapping[str, Any]]) -> list[int]:
    return [level["variables"] for level in levels]


def _draw_level(ax: Axes, seeds: Sequence[Mapping[str, Any]], name: str, look: Mapping[str, Any]) -> None:
    kl = np.mean([level["kl_by_variable"] for level in seeds], axis=0)
    active = np.mean([level["active_units"] for level in seeds])
    label = f"{display(name)}: {active:.3g} / {seeds[0]['variables']}"
    ax.plot(range(1, len(kl) + 1), np.maximum(kl, FLOOR), marker="o", markersize=3.5, label=label, **look)

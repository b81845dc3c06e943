"""How plots look: settings, colours and markers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import seaborn as sns

Colour = tuple[float, float, float]


def style(*, grid: bool = True, scale: float = 0.9) -> AbstractContextManager[None]:
    """Within this context figures are made and drawn in the style of all plots, with text of this scale."""
    look = sns.axes_style("whitegrid" if grid else "white")
    return mpl.rc_context(look | sns.plotting_context("notebook", font_scale=scale))


def colours(count: int) -> list[Colour]:
    """Colours that the colour-blind can tell apart, as long as there are enough of them, else that most people can."""
    for palette in ("colorblind", "tab20"):
        safe = sns.color_palette(palette)
        if count <= len(safe):
            return list(safe[:count])
    return list(sns.color_palette("husl", count))


def markers(count: int) -> list[Any]:
    """So many markers of different shapes, all of them with a face and an edge."""
    stars = [(points, kind, 0) for points in range(5, 6 + count // 2) for kind in (1, 0)]
    return ["o", "X", (4, 0, 45), "P", (4, 0, 0), (4, 1, 0), "^", (4, 1, 45), "v", *stars][:count]

"""The same test images as several models give them back, one row per model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from genbench.report.beyond import Plot
from genbench.report.layout import Table
from genbench.report.plots.drawing import Drawing, display, finished

#: Inches of one image, and of the labels beside the rows.
SIDE, LABELS = 0.5, 2.2
#: Share of an image's side that is left white beside it.
GAP = 0.06


def draw_rows(table: Table, rows: Sequence[tuple[str, np.ndarray]], name: str, title: str, caption: str) -> Plot:
    """Rows of images, each with its label to the left.

    Args:
        table: the table in which the models stand.
        rows: labels, and uint8 images `(N, C, H, W)`, 1 or 3 channels, as many and of the same size in every row.
        name: the plot's part of the file's name.
        title: the plot's.
        caption: what the rows are.
    """
    count, _, height, width = rows[0][1].shape
    across, down = count * SIDE * width / max(height, width), SIDE * height / max(height, width)
    figure = Figure(figsize=(LABELS + across, len(rows) * down * (1 + GAP)))
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(left=LABELS / (LABELS + across), right=1, bottom=0, top=1, hspace=GAP)
    for ax, (label, images) in zip(panels, rows, strict=True):
        ax.imshow(_strip(images), vmin=0, vmax=255, aspect="auto")
        ax.set_axis_off()
        ax.text(-0.01, 0.5, display(label), transform=ax.transAxes, ha="right", va="center", fontsize="small")
    return finished(Drawing(figure, title, caption), table, name)


def _strip(images: np.ndarray) -> np.ndarray:
    """`(N, C, H, W)` as one row of colour images, enlarged so that rounding shows nowhere."""
    scale = -(-128 // max(images.shape[2:]))
    tiles = np.broadcast_to(images.transpose(0, 2, 3, 1), (len(images), *images.shape[2:], 3))
    tiles = tiles.repeat(scale, 1).repeat(scale, 2)
    gap = max(1, round(GAP * tiles.shape[2]))
    framed = np.pad(tiles, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
    strip: np.ndarray = np.concatenate(list(framed), axis=1)[:, :-gap]
    return strip

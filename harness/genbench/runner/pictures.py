"""Pictures that a run leaves: grids of samples and reconstructions; of points in the plane, their histogram."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

#: Columns of a grid, pixels between its tiles, and the least size that a tile is enlarged to.
COLUMNS, GAP, TILE = 8, 2, 56
#: Bins of a histogram, and the side of its picture.
BINS, SIDE = 96, 480


def save_samples(x: Tensor, path: Path) -> bool:
    """Save `(N, C, H, W)` in [0, 1] as a grid, or points `(N, 2)` as their histogram.

    Returns:
        Whether data of this shape can be shown at all.
    """
    if x.dim() == 4 and x.shape[1] in (1, 3):
        _grid(x.float().cpu().numpy()).save(path)
    elif x.dim() == 2 and x.shape[1] == 2:
        _histogram(x.float().cpu().numpy()).save(path)
    else:
        return False
    return True


def save_reconstructions(x: Tensor, reconstructed: Tensor, path: Path) -> bool:
    """Save rows of originals `(N, C, H, W)`, each above the row of their reconstructions.

    Returns:
        Whether data of this shape can be shown at all.
    """
    if x.dim() != 4 or x.shape[1] not in (1, 3):
        return False
    rows = [part for pair in zip(x.split(COLUMNS), reconstructed.split(COLUMNS), strict=True) for part in pair]
    _grid(np.concatenate([row.float().cpu().numpy() for row in rows])).save(path)
    return True


def _grid(x: np.ndarray) -> Image.Image:
    count, channels, height, width = x.shape
    scale = max(1, TILE // max(height, width))
    tiles = np.clip(np.rint(x * 255), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    tiles = tiles.repeat(scale, 1).repeat(scale, 2)
    height, width = tiles.shape[1:3]
    rows = -(-count // COLUMNS)
    canvas = np.full((rows * (height + GAP) + GAP, COLUMNS * (width + GAP) + GAP, channels), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = GAP + (i // COLUMNS) * (height + GAP), GAP + (i % COLUMNS) * (width + GAP)
        canvas[top : top + height, left : left + width] = tile
    return Image.fromarray(canvas.squeeze(2) if channels == 1 else canvas)


def _histogram(points: np.ndarray) -> Image.Image:
    """White where there are no points, black where they are densest; both axes over [-3, 3], y upwards."""
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=BINS, range=[[-3, 3], [-3, 3]])
    shade = 255 - np.sqrt(counts / max(counts.max(), 1)) * 255
    return Image.fromarray(np.flipud(shade).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST)

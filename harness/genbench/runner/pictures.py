"""Images out of tensors: grids, labelled sheets, mosaics; of points in the plane, their histogram."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

#: Columns of a grid, and the sides that the tiles of sheets and of mosaics are enlarged to at least, in pixels.
COLUMNS, TILE, SMALL_TILE = 8, 56, 28
#: Pixels between tiles, between groups of them, between text and tiles, and the height of the text.
GAP, WIDE_GAP, MARGIN, TEXT = 2, 10, 6, 13
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
#: Bins of a histogram, and the side of its picture.
BINS, SIDE = 96, 480


def can_be_shown(shape: Sequence[int]) -> bool:
    """Whether data points of this shape are pictures, grey or in three colours."""
    return len(shape) == 3 and shape[0] in (1, 3)


def picture_of(x: Tensor) -> Image.Image | None:
    """Images `(N, C, H, W)` in [0, 1] as a grid, points `(N, 2)` as their histogram; None for other data."""
    if can_be_shown(x.shape[1:]):
        return sheet(x.split(COLUMNS))
    if x.dim() == 2 and x.shape[1] == 2:
        return _histogram(x.float().cpu().numpy())
    return None


def above(x: Tensor, reconstructed: Tensor) -> Image.Image:
    """Rows of images, each above the row of what became of them, both `(N, C, H, W)` in [0, 1]."""
    pairs = zip(x.split(COLUMNS), reconstructed.split(COLUMNS), strict=True)
    return sheet([row for pair in pairs for row in pair], group=2)


def sheet(
    rows: Sequence[Tensor],
    labels: Sequence[str] = (),
    heads: Sequence[str] = (),
    apart: Collection[int] = (),
    group: int | None = None,
) -> Image.Image:
    """Rows of images.

    Args:
        rows: `(n, C, H, W)` each, in [0, 1], all of one size.
        labels: what stands to the left of each row.
        heads: what stands above each column.
        apart: columns with a wider gap before them.
        group: rows after which there is a wider gap.
    """
    tiles = [_tiles(row, TILE) for row in rows]
    height, width = tiles[0].shape[1:3]
    font = ImageFont.load_default(TEXT)
    left = MARGIN + max((round(font.getlength(label)) for label in labels), default=-MARGIN) + MARGIN * bool(labels)
    top = MARGIN + TEXT if heads else 0
    columns = max(len(row) for row in tiles)
    across = [left + GAP + i * (width + GAP) + WIDE_GAP * sum(i >= c for c in apart) for i in range(columns + 1)]
    down = [top + GAP + i * (height + GAP) + WIDE_GAP * (i // group if group else 0) for i in range(len(tiles) + 1)]
    canvas = Image.new("RGB", (across[-2] + width + GAP, down[-2] + height + GAP), WHITE)
    for y, row in zip(down, tiles, strict=False):
        for x, tile in zip(across, row, strict=False):
            canvas.paste(Image.fromarray(tile), (x, y))
    draw = ImageDraw.Draw(canvas)
    for y, label in zip(down, labels, strict=False):
        draw.text((left - MARGIN, y + height // 2), label, BLACK, font, anchor="rm")
    for x, head in zip(across, heads, strict=False):
        draw.text((x + width // 2, top - MARGIN // 2), head, BLACK, font, anchor="ms")
    return canvas if rows[0].shape[1] == 3 else canvas.convert("L")


def mosaic(x: Tensor, columns: int) -> Image.Image:
    """Images `(N, C, H, W)` in [0, 1] edge to edge, in rows of `columns`."""
    tiles = _tiles(x, SMALL_TILE)
    rows = [np.concatenate(list(tiles[i : i + columns]), axis=1) for i in range(0, len(tiles), columns)]
    picture = Image.fromarray(np.concatenate(rows))
    return picture if x.shape[1] == 3 else picture.convert("L")


def to_bytes(x: Tensor) -> np.ndarray:
    """Images in [0, 1] as uint8, of the same shape."""
    scaled: np.ndarray = np.rint(x.float().cpu().numpy() * 255)
    return np.clip(scaled, 0, 255).astype(np.uint8)


def _tiles(x: Tensor, least: int) -> np.ndarray:
    """Images `(N, C, H, W)` as `(N, H', W', 3)` uint8, enlarged by a whole number until no side is below `least`."""
    scale = -(-least // min(x.shape[2:]))
    tiles = np.broadcast_to(to_bytes(x).transpose(0, 2, 3, 1), (len(x), *x.shape[2:], 3))
    return tiles.repeat(scale, 1).repeat(scale, 2)


def _histogram(points: np.ndarray) -> Image.Image:
    """White where there are no points, black where they are densest; both axes over [-3, 3], y upwards."""
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=BINS, range=[[-3, 3], [-3, 3]])
    shade = 255 - np.sqrt(counts / max(counts.max(), 1)) * 255
    return Image.fromarray(np.flipud(shade).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST)

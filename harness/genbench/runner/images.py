"""A user's own image files, brought to the shape and the kind of a model's data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genbench.data import DataSpec
from genbench.data.images import as_pixels, read_image
from genbench.errors import GenbenchError
from genbench.model import snap
from genbench.runner.pictures import can_be_shown


def read_images(paths: Sequence[Path], data: DataSpec) -> tuple[Tensor, list[str]]:
    """Images as a batch presents them, `(N, C, H, W)` float32, and what was done to each, in words.

    They are read as `genbench.data.images` reads all images, brought to the data's size and colours, and rounded to the
    data's levels; binary pixels are 1 from one half on.

    Raises:
        GenbenchError: a file is no image that can be read, or the data has no images of known range.
    """
    if not can_be_shown(data.shape):
        raise GenbenchError(f"the model's data are no pictures: their shape is {data.shape}")
    if data.levels is None:
        raise GenbenchError("the model's data are continuous: what a picture's pixels mean there is unknown")
    channels, height, width = data.shape
    x, steps = [], []
    for path in paths:
        image = read_image(path)
        pixels = torch.from_numpy(as_pixels(image, channels, height, width).astype(np.float32) / 255)
        x.append((pixels >= 0.5).float() if data.kind == "binary" else snap(pixels, data.levels))
        done = [f"{image.width}x{image.height} pixels"]
        if image.size != (width, height):
            done.append(f"resized and cropped to {width}x{height}")
        colours, mode = ("grey", "L") if channels == 1 else ("colour", "RGB")
        done.append(colours if image.mode == mode else f"to {colours}")
        done.append("binary: 1 from one half on" if data.kind == "binary" else f"{data.levels} levels")
        steps.append(", ".join(done))
    return torch.stack(x), steps

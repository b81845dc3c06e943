"""A user's own image files, brought to the shape and the kind of a model's data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from genbench.data import DataSpec
from genbench.errors import GenbenchError
from genbench.model import snap
from genbench.runner.pictures import can_be_shown


def read_images(paths: Sequence[Path], data: DataSpec) -> tuple[Tensor, list[str]]:
    """Images as a batch presents them, `(N, C, H, W)` float32, and what was done to each, in words.

    Upright, in grey or in colours, resized to cover the data's size with the centre cropped, and rounded to the data's
    levels; binary pixels are 1 from one half on. What is transparent becomes white.

    Raises:
        GenbenchError: a file is no image that can be read, or the data has no images of known range.
    """
    if not can_be_shown(data.shape):
        raise GenbenchError(f"the model's data are no pictures: their shape is {data.shape}")
    if data.levels is None:
        raise GenbenchError("the model's data are continuous: what a picture's pixels mean there is unknown")
    channels, height, width = data.shape
    size = (width, height)
    x, steps = [], []
    for path in paths:
        image = _open(path)
        colours = "grey" if channels == 1 else "colour"
        done = [f"{image.width}x{image.height} pixels"]
        ready = image.convert("L" if channels == 1 else "RGB")
        if ready.size != size:
            ready = ImageOps.fit(ready, size, method=Image.Resampling.BICUBIC)
            done.append(f"resized and cropped to {width}x{height}")
        done.append(f"to {colours}" if image.mode != ready.mode else colours)
        done.append("binary: 1 from one half on" if data.kind == "binary" else f"{data.levels} levels")
        pixels = torch.from_numpy(np.array(ready, np.float32) / 255).view(height, width, channels).permute(2, 0, 1)
        x.append((pixels >= 0.5).float() if data.kind == "binary" else snap(pixels, data.levels))
        steps.append(", ".join(done))
    return torch.stack(x), steps


def _open(path: Path) -> Image.Image:
    """The image, upright, with 8 bits a channel."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise GenbenchError(f"{path} has more than 8 bits a channel; convert it to 8 bits")
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    except FileNotFoundError:
        raise GenbenchError(f"there is no file {path}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise GenbenchError(f"{path} can't be read as an image ({error})") from None
    return upright

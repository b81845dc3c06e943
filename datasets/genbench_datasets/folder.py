"""A user's own images."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field

from genbench.data import Dataset, DatasetSource, DataSpec, Options, Split
from genbench.errors import GenbenchError, UsageError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

#: Fewer can't be split into three.
MIN_IMAGES = 10


class Folder(DatasetSource):
    """All images under a folder, resized and cropped to squares of 256 levels, in 80 / 10 / 10%.

    The order, and by it the split, follows from a hash of each file's name relative to the folder: it does not change
    when the folder moves, and changes little when images are added. If every image is in a sub-folder and there are at
    least two of these, the first-level sub-folders are the classes, in alphabetical order.
    """

    class Config(Options):
        """Options of folder."""

        path: Path = Field(description="the folder with the images, which may be in sub-folders")
        size: int = Field(32, ge=4, le=1024, description="height and width that every image is brought to, in pixels")
        channels: Literal[1, 3] = Field(3, description="1 for grey, 3 for colour")

    config: Config

    def load(self) -> Dataset:
        root = self.config.path.expanduser()
        names = _image_names(root)
        x = np.stack([self._read(root / name) for name in names])
        y, num_classes = _labels(names)
        tenth = len(names) // 10
        return Dataset(
            name="folder",
            spec=DataSpec(x.shape[1:], "discrete", levels=256, num_classes=num_classes),
            train=_part(x, y, slice(2 * tenth, None)),
            validation=_part(x, y, slice(tenth, 2 * tenth)),
            test=_part(x, y, slice(0, tenth)),
            family="folder",
        )

    def _read(self, path: Path) -> np.ndarray:
        """One image as `(C, size, size)` uint8: bicubic, antialiased, its centre cropped."""
        try:
            with Image.open(path) as image:
                if image.mode.startswith(("I", "F")):
                    raise GenbenchError(f"{path} has more than 8 bits a channel; convert it to 8 bits")
                upright = ImageOps.exif_transpose(image).convert("L" if self.config.channels == 1 else "RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise GenbenchError(f"{path} can't be read as an image ({error}); repair or remove it") from error
        square = ImageOps.fit(upright, (self.config.size, self.config.size), method=Image.Resampling.BICUBIC)
        pixels = np.asarray(square, np.uint8)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _image_names(root: Path) -> list[Path]:
    """The images' names relative to `root`, in the order of their hashes."""
    if not root.is_dir():
        raise UsageError(f"folder: path={root} is no folder")
    names = [path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    if len(names) < MIN_IMAGES:
        found = f"{len(names)} images" if names else "no images"
        raise GenbenchError(f"{root} holds {found} ({', '.join(sorted(SUFFIXES))}); at least {MIN_IMAGES} are needed")
    return sorted(names, key=lambda name: hashlib.sha256(name.as_posix().encode()).digest())


def _labels(names: list[Path]) -> tuple[np.ndarray | None, int | None]:
    """Each image's class and the number of classes, or None twice."""
    tops = [name.parts[0] if len(name.parts) > 1 else None for name in names]
    classes = sorted({top for top in tops if top is not None})
    if None in tops or len(classes) < 2:
        return None, None
    return np.array([classes.index(top) for top in tops if top is not None], np.int64), len(classes)


def _part(x: np.ndarray, y: np.ndarray | None, where: slice) -> Split:
    return Split(x[where], None if y is None else y[where])

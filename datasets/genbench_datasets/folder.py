"""A user's own images."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from genbench.data import Dataset, DatasetSource, DataSpec, FilePath, Options, Split
from genbench.data.images import as_pixels, read_image
from genbench.errors import GenbenchError, UsageError, printable
from genbench_datasets.walk import find_files

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

#: Fewer can't be split into three.
MIN_IMAGES = 10

#: So many classes are named in what is said of a folder.
NAMED = 5


class Folder(DatasetSource):
    """All images under a folder, resized and cropped to squares of 256 levels, in 80 / 10 / 10%.

    Hidden files and folders are no data, links are followed, what is transparent becomes white. The order, and by it
    the split, follows from a hash of each file's name relative to the folder: it does not change when the folder moves,
    and changes little when images are added. If every image is in a sub-folder and there are at least two of these, the
    first-level sub-folders are the classes, in alphabetical order.
    """

    class Config(Options):
        """Options of folder."""

        path: FilePath = Field(
            description="the folder with the images, which may be in sub-folders; in quotes if it holds any of , | [ ]"
        )
        size: int = Field(32, ge=4, le=1024, description="height and width that every image is brought to, in pixels")
        channels: Literal[1, 3] = Field(3, description="1 for grey, 3 for colour")

    config: Config

    def load(self) -> Dataset:
        root = Path(os.path.expanduser(self.config.path))  # noqa: PTH111  # the `~` of an unknown user stays
        if not root.is_dir():
            raise UsageError(f"folder: path={printable(root)} is no folder")
        found = find_files(root, SUFFIXES)
        if len(found.files) < MIN_IMAGES:
            holds = f"{len(found.files)} images" if found.files else "no images"
            wanted = f"{', '.join(sorted(SUFFIXES))}); at least {MIN_IMAGES} are needed"
            raise GenbenchError(f"{printable(root)} holds {holds} ({wanted}")
        names = sorted(found.files, key=lambda name: hashlib.sha256(os.fsencode(name.as_posix())).digest())
        channels, size = self.config.channels, self.config.size
        x = np.empty((len(names), channels, size, size), np.uint8)
        for place, name in enumerate(names):
            x[place] = as_pixels(read_image(root / name), channels, size, size)
        y, classes = _labels(names)
        tenth = len(names) // 10
        return Dataset(
            name="folder",
            spec=DataSpec(x.shape[1:], "discrete", levels=256, num_classes=len(classes) or None),
            train=_part(x, y, slice(2 * tenth, None)),
            validation=_part(x, y, slice(tenth, 2 * tenth)),
            test=_part(x, y, slice(0, tenth)),
            family="folder",
            found=_in_words(names, classes, found.others),
        )


def _labels(names: list[Path]) -> tuple[np.ndarray | None, list[str]]:
    """Each image's class, or None where there are no classes, and the classes' names."""
    tops = [name.parts[0] if len(name.parts) > 1 else None for name in names]
    classes = sorted({top for top in tops if top is not None}, key=os.fsencode)
    if None in tops or len(classes) < 2:
        return None, []
    label = {name: i for i, name in enumerate(classes)}
    return np.array([label[top] for top in tops if top is not None], np.int64), classes


def _in_words(names: list[Path], classes: list[str], others: int) -> str:
    """How many images and classes were found, and how many files were passed over."""
    words = f"{len(names)} images"
    if classes:
        count = Counter(name.parts[0] for name in names)
        shown = [f"{printable(name)} {count[name]}" for name in classes[:NAMED]]
        more = [f"{len(classes) - NAMED} more"] if len(classes) > NAMED else []
        words += f" in {len(classes)} classes ({', '.join([*shown, *more])})"
    else:
        words += " without classes"
    return f"{words}, {others} files with other suffixes passed over" if others else words


def _part(x: np.ndarray, y: np.ndarray | None, where: slice) -> Split:
    return Split(x[where], None if y is None else y[where])

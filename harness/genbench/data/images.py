"""The one reader of image files: whatever a file holds becomes the same upright, opaque picture everywhere."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from genbench.errors import GenbenchError, printable
from genbench.files import open_plain

#: EXIF's tag of the orientation, and the turn that undoes each value.
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: Path) -> Image.Image:
    """The image in a file (of several frames, the first), upright and opaque, as grey (`"L"`) or colour (`"RGB"`).

    What is transparent becomes white, whatever colour lies beneath. EXIF data that can't be read turn nothing.

    Raises:
        GenbenchError: the file is no image that can be read, or has more than 8 bits a channel.
    """
    name = printable(path)
    try:
        with open_plain(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an image is read or refused; Pillow's remarks name no file
            image = Image.open(file)
            image.load()
            if not image.mode.startswith(("I", "F")):
                return _plain(_upright(image))
    except FileNotFoundError:
        if path.is_symlink():
            raise GenbenchError(f"{name} is a link to a file that is not there; mend or remove it") from None
        raise GenbenchError(f"there is no file {name}") from None
    except Exception as error:  # Pillow's readers raise nearly anything: struct.error, IndexError, MemoryError
        raise GenbenchError(f"{name} can't be read as an image ({_reason(error)}); repair or remove it") from error
    raise GenbenchError(f"{name} has more than 8 bits a channel; convert it to 8 bits")


def as_pixels(image: Image.Image, channels: int, height: int, width: int) -> np.ndarray:
    """The image as `(channels, height, width)` uint8, in grey (1 channel) or colour (3): resized to cover that size,
    bicubic and antialiased, with its centre cropped."""
    ready = image.convert("L" if channels == 1 else "RGB")
    fitted = ImageOps.fit(ready, (width, height), method=Image.Resampling.BICUBIC)
    return np.asarray(fitted, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = UPRIGHT.get(int(image.getexif().get(ORIENTATION, 0)))
    except Exception:  # EXIF data may be broken in any way beside good pixels
        turn = None
    return image if turn is None else image.transpose(turn)


def _plain(image: Image.Image) -> Image.Image:
    """The image in grey or colour, over white."""
    if image.has_transparency_data:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its format is unknown"
    said = getattr(error, "strerror", None) or error
    return printable(" ".join(str(said).split())) or type(error).__name__

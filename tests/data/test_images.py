"""One reader for every image: a file's picture comes out upright, opaque and the same everywhere, or is named."""

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from genbench.data import DataSpec
from genbench.data.images import as_pixels, read_image
from genbench.errors import GenbenchError
from genbench.runner.images import read_images
from genbench_datasets.folder import Folder

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 255, (8, 8, 3), dtype=np.uint8)


def pixels(path: Path, channels: int = 3) -> np.ndarray:
    return as_pixels(read_image(path), channels, 8, 8)


def alpha(under: np.ndarray) -> Image.Image:
    """A red left half over what lies beneath an entirely transparent right half."""
    array = np.dstack([under, np.zeros((8, 8), np.uint8)])
    array[:, :4] = (200, 0, 0, 255)
    return Image.fromarray(array, "RGBA")


def grey_key(image: Image.Image, folder: Path) -> Path:
    """A PNG of one grey channel in which one level means transparent."""
    path = folder / "key.png"
    level = np.asarray(image.split()[0]).copy()
    level[:, 4:] = 77
    Image.fromarray(level).save(path, transparency=77)
    return path


def colour_key(image: Image.Image, folder: Path) -> Path:
    """A PNG of three channels in which one colour means transparent."""
    path = folder / "key.png"
    array = np.asarray(image.convert("RGB")).copy()
    array[:, 4:] = (1, 2, 3)
    Image.fromarray(array).save(path, transparency=(1, 2, 3))
    return path


def palette(image: Image.Image, folder: Path) -> Path:
    """A PNG of a palette with an alpha value for every colour."""
    path = folder / "palette.png"
    indices = np.repeat(np.array([[0, 1]], np.uint8), 4, 1).repeat(8, 0)
    made = Image.fromarray(indices, "P")
    made.putpalette([200, 0, 0, *np.asarray(image)[0, 7, :3].tolist()])
    made.save(path, transparency=bytes([255, 0]))
    return path


def saved_as(suffix: str, **options: object):
    def save(image: Image.Image, folder: Path) -> Path:
        path = folder / f"image{suffix}"
        image.save(path, **options)
        return path

    return save


def grey_and_alpha(image: Image.Image, folder: Path) -> Path:
    path = folder / "la.png"
    image.convert("LA").save(path)
    return path


WRITERS = {
    "rgba png": saved_as(".png"),
    "rgba tiff": saved_as(".tif"),
    "rgba webp": saved_as(".webp", lossless=True, exact=True),
    "rgba gif": saved_as(".gif"),
    "la png": grey_and_alpha,
    "tRNS of grey": grey_key,
    "tRNS of colour": colour_key,
    "tRNS of a palette": palette,
}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_is_white_whatever_lies_beneath(tmp_path, write, channels):
    made = []
    for name, under in (("black", np.zeros_like(NOISE)), ("noise", NOISE)):
        folder = tmp_path / name
        folder.mkdir()
        made.append(pixels(write(alpha(under), folder), channels))
    assert (made[0] == made[1]).all()
    assert (made[0][:, :, 4:] == 255).all()
    assert not (made[0][:, :, :4] == 255).all()


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_a_folder_and_reconstruct_see_the_same_image(tmp_path):
    for i in range(10):
        alpha(NOISE).save(tmp_path / f"{i}.png")
    dataset = Folder(Folder.Config(path=tmp_path, size=8), tmp_path).load()
    x, _ = read_images([tmp_path / "0.png"], DataSpec((3, 8, 8), "discrete", 256))
    assert (np.rint(x.numpy() * 255) == dataset.train.x[:1]).all()


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 128)).save(tmp_path / "half.png")
    assert (pixels(tmp_path / "half.png") == 127).all()


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_every_orientation_is_turned_upright_once(tmp_path, value, suffix):
    corner = np.zeros((16, 16), np.uint8)
    corner[:8, :8] = 255
    stored = {1: 0, 2: 1, 3: 3, 4: 2, 5: 0, 6: 2, 7: 3, 8: 1}[value]  # where the upper left quarter lies in the file
    there = np.rot90(corner, {0: 0, 1: 3, 3: 2, 2: 1}[stored])
    exif = Image.Exif()
    exif[0x0112] = value
    Image.fromarray(there).convert("RGB").save(tmp_path / f"turned{suffix}", exif=exif)
    upright = as_pixels(read_image(tmp_path / f"turned{suffix}"), 1, 16, 16)[0]
    assert (upright[:8, :8] > 200).all()
    assert upright.mean() < 80


def exif_of(*entries: bytes, tail: bytes = b"", count: int | None = None) -> bytes:
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries) if count is None else count)
    return b"Exif\0\0" + head + b"".join(entries) + struct.pack("<I", 0) + tail


ORIENTATION = struct.pack("<HHI4s", 0x112, 3, 1, struct.pack("<HH", 6, 0))
RATIONAL = struct.pack("<HHII", 0x11A, 10, 1, 38)
BROKEN = {
    "a rational of -1/0": (exif_of(ORIENTATION, RATIONAL, tail=struct.pack("<ii", -1, 0)), True),
    "cut short": (exif_of(ORIENTATION)[:14], False),
    "no TIFF": (b"Exif\0\0" + b"garbage!" * 4, False),
    "empty": (b"Exif\0\0", False),
    "a text as orientation": (exif_of(struct.pack("<HHI4s", 0x112, 2, 4, b"abc\0")), False),
    "more entries than there are": (exif_of(ORIENTATION, count=900), True),
    "an offset beyond the end": (exif_of(ORIENTATION, struct.pack("<HHII", 0x11A, 10, 1, 10**9)), True),
}


@pytest.mark.parametrize(("exif", "turned"), BROKEN.values(), ids=BROKEN)
def test_broken_exif_beside_good_pixels_is_no_hindrance(tmp_path, exif, turned):
    left = np.zeros((16, 16, 3), np.uint8)
    left[:, :8] = 255
    Image.fromarray(left).save(tmp_path / "odd.jpg", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        upright = as_pixels(read_image(tmp_path / "odd.jpg"), 1, 16, 16)[0]
    assert (upright[:8, 8:].mean() > 200) == turned


@pytest.mark.parametrize(
    ("mode", "suffix"), [("1", ".png"), ("L", ".png"), ("P", ".png"), ("P", ".gif"), ("CMYK", ".jpg"), ("CMYK", ".tif")]
)
def test_eight_bit_modes_become_grey_or_colour(tmp_path, mode, suffix):
    path = tmp_path / f"image{suffix}"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(path)
    for channels in (1, 3):
        assert (pixels(path, channels) >= 254).all()
    assert read_image(path).mode in ("L", "RGB")


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp", ".png"])
def test_of_several_frames_the_first_is_read(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), (level, level, level)) for level in (40, 200)]
    frames[0].save(tmp_path / f"film{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    assert (pixels(tmp_path / f"film{suffix}") == 40).all()


def bomb(path: Path) -> None:
    """A PNG of a few bytes that says it has 10^10 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def half(path: Path) -> None:
    Image.fromarray(NOISE.repeat(8, 0).repeat(8, 1)).save(path, format="PNG")
    path.write_bytes(path.read_bytes()[:150])


ODD = {
    "empty": (
        lambda path: path.write_bytes(b""),
        "can't be read as an image (its format is unknown); repair or remove",
    ),
    "text": (lambda path: path.write_text("not an image"), "can't be read as an image (its format is unknown)"),
    "half": (half, "can't be read as an image ("),
    "bomb": (bomb, "can't be read as an image (Image size (10000000000 pixels) exceeds limit"),
    "pipe": (os.mkfifo, "can't be read as an image (not a plain file)"),
    "folder": (Path.mkdir, "can't be read as an image (not a plain file)"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "is a link to a file that is not there"),
    "missing": (lambda path: None, "there is no file"),
    "16 bits": (lambda path: Image.fromarray(np.full((8, 8), 9, np.uint16)).save(path), "has more than 8 bits"),
}


@pytest.mark.parametrize(("make", "message"), ODD.values(), ids=ODD)
def test_what_is_no_image_is_one_line_that_names_the_file(tmp_path, make, message):
    path = tmp_path / "file.png"
    make(path)
    with pytest.raises(GenbenchError) as error:
        read_image(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "error",
    [struct.error("unpack requires 4 bytes"), IndexError(), MemoryError(), PermissionError(13, "Permission denied")],
)
def test_whatever_pillow_raises_is_one_line(tmp_path, monkeypatch, error):
    def raises(self: object) -> None:
        raise error

    path = tmp_path / "file.png"
    Image.fromarray(NOISE).save(path)
    monkeypatch.setattr(ImageFile.ImageFile, "load", raises)
    with pytest.raises(GenbenchError, match=r"file\.png can't be read as an image \((unpack|Index|Memory|Permission)"):
        read_image(path)


def test_a_name_that_is_not_utf_8_is_read_and_shown_as_text_that_can_be_printed(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    Image.fromarray(NOISE).save(path)
    assert (pixels(path) == NOISE.transpose(2, 0, 1)).all()
    path.write_bytes(b"")
    with pytest.raises(GenbenchError) as error:
        read_image(path)
    assert "caf\\xe9.png can't be read" in str(error.value)

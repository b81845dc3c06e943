"""Files that runs leave beside their records, read as a stranger's: nothing is waited for, unpickled, or unpacked
beyond a limit."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.files import read_content, read_end

if TYPE_CHECKING:
    from numpy import ndarray

    from genbench.results.schema import Record

#: Bytes of a file of pictures or arrays, and of all arrays that are taken from one, at most.
FILE, UNPACKED = 64 * 2**20, 256 * 2**20
#: Pixels of a picture, at most.
PIXELS = 50_000_000
#: What arrays may hold that are wanted as numbers; numbers beyond it can't be drawn.
LARGEST = 1e100
#: How the members of an archive may be packed.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Of a zip archive's entry: its content is encrypted.
_ENCRYPTED = 0x1
#: Characters of an array's header, at most.
_HEADER = 10_000


class Damaged(Exception):
    """An artifact can't be used; the message says why."""


@dataclass(frozen=True)
class Form:
    """The form that an array must have.

    Attributes:
        kinds: of its dtype, as numpy's `dtype.kind` has them: `"f"`, `"iu"`, …
        shape: None where any size will do.
        most: how many elements it may have along each of its axes.
        optional: whether it may be missing.
    """

    kinds: str
    shape: tuple[int | None, ...]
    most: int = 10_000_000
    optional: bool = False


def read_artifact(record: Record, purpose: str, out: Path, *, last: int | None = None) -> bytes | None:
    """The file that a run left for a purpose, or so many `last` bytes of it; None where there is none.

    What a report shows is for others to read: a link to a file that is none of a run is not followed.

    Raises:
        Damaged: it is no plain file, it is too large, or it can't be read.
    """
    name = record.artifacts.get(purpose)
    if name is None:
        return None
    runs = out / "runs"
    try:
        path = (runs / record.key / name).resolve()
        if not path.is_relative_to(runs.resolve()):
            raise Damaged("it is a link to a file that is none of a run")
        return read_content(path, FILE) if last is None else read_end(path, last)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(error.strerror or str(error)) from None
    except RuntimeError:  # of `resolve`, for links in a circle
        raise Damaged("it is a link in a circle") from None


def check_picture(content: bytes) -> None:
    """See that this is a PNG that can be shown.

    Raises:
        Damaged: it is none, or too large.
    """
    from PIL import Image  # late: a table needs no pictures

    try:
        with warnings.catch_warnings(action="ignore"):
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                if math.prod(image.size) > PIXELS:
                    raise Damaged(f"it has {image.width}x{image.height} pixels")
                image.load()
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                image.verify()  # the sums, which `load` does not look at
    except Damaged:
        raise
    except Exception as error:  # what Pillow raises for foreign bytes is no closed set
        raise Damaged(f"it is no PNG that can be read: {_reason(error)}") from None


def read_arrays(content: bytes, forms: Mapping[str, Form]) -> dict[str, ndarray]:
    """The arrays of these names and forms in an npz file; others in it are not looked at.

    Raises:
        Damaged: one is missing or has another form, or the file is broken, encrypted, or larger than it may be.
    """
    try:
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            missing = [name for name, form in forms.items() if f"{name}.npy" not in entries and not form.optional]
            if missing:
                raise Damaged(f"it has no array {missing[0]}")
            found = {name: entries[f"{name}.npy"] for name in forms if f"{name}.npy" in entries}
            size = sum(entry.file_size for entry in found.values())
            if size > UNPACKED:
                raise Damaged(f"its arrays take {size // 2**20:,} MiB")
            return {name: _read_array(archive, entry, name, forms[name]) for name, entry in found.items()}
    except Damaged:
        raise
    except Exception as error:  # what zipfile, zlib and numpy raise for foreign bytes is no closed set
        raise Damaged(f"it is no npz file that can be read: {_reason(error)}") from None


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, form: Form) -> ndarray:
    """One array, of which no more is unpacked than its header and the archive's directory agree on."""
    import numpy as np  # late: a table needs no arrays

    if entry.flag_bits & _ENCRYPTED:
        raise Damaged(f"{name} is encrypted")
    if entry.compress_type not in _PACKED:
        raise Damaged(f"{name} is packed by the unknown method {entry.compress_type}")
    with archive.open(entry) as file:
        shape, in_columns, dtype = _read_header(file)
        if dtype.kind not in form.kinds:
            raise Damaged(f"{name} holds {dtype}")
        fits = len(shape) == len(form.shape) and all(
            0 <= size <= form.most and wanted in (None, size) for size, wanted in zip(shape, form.shape, strict=True)
        )
        if not fits:
            raise Damaged(f"{name} has the shape {shape}")
        size = math.prod(shape) * dtype.itemsize
        if size > entry.file_size:
            raise Damaged(f"{name} is cut short")
        data = file.read(size)
        if len(data) != size or file.read(1):  # reading on to the end is what checks the sum
            raise Damaged(f"{name} is not as long as its header says")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if in_columns else "C")
    if dtype.kind == "f" and not (np.abs(array) <= LARGEST).all():
        raise Damaged(f"{name} has numbers that can't be drawn")
    return array.astype(dtype.newbyteorder("="))


def _read_header(file: Any) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, order and dtype of the array that begins here."""
    import numpy as np  # late: see above

    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file, max_header_size=_HEADER)
    raise Damaged(f"an array in it is of version {version}")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__

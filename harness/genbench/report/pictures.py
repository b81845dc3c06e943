"""What runs left beside their records: pictures, codes, logs. A file that is missing or broken is simply not there."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genbench.results.schema import Record

_PNG = b"\x89PNG\r\n\x1a\n"
#: Bytes of a log that are read.
TAIL = 8000


def png_uri(png: bytes) -> str:
    """The picture as a `data:` URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def picture(record: Record, purpose: str, out: Path) -> str | None:
    """The PNG that a run left for this purpose, as a `data:` URI."""
    content = _artifact(record, purpose, out)
    return png_uri(content) if content is not None and content.startswith(_PNG) else None


def codes(record: Record, out: Path) -> dict[str, Any] | None:
    """The arrays of a run's `codes` artifact."""
    found = _arrays(record, "codes", out)
    planes = [found.get(name) for name in ("code_2d", "pca_2d")]
    return found if "y" in found and all(p is not None and p.shape == (len(found["y"]), 2) for p in planes) else None


def rows_of_images(record: Record, out: Path) -> dict[str, Any] | None:
    """The arrays of a run's `rows` artifact: `x`, `reconstructed`, `noisy` and `restored`, uint8 `(N, C, H, W)`."""
    found = _arrays(record, "rows", out)
    rows = [found[name] for name in ("x", "reconstructed", "noisy", "restored") if name in found]
    alike = len(rows) == 4 and len({row.shape for row in rows}) == 1
    shown = all(row.dtype == "uint8" and row.ndim == 4 and row.shape[1] in (1, 3) and row.size for row in rows)
    return found if alike and shown else None


def _arrays(record: Record, purpose: str, out: Path) -> dict[str, Any]:
    """The arrays that a run left for this purpose, by name; none where they can't be read."""
    import numpy as np

    content = _artifact(record, purpose, out)
    if content is None:
        return {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except (EOFError, OSError, ValueError, zipfile.BadZipFile, zlib.error):
        return {}


def log_tail(record: Record, out: Path, lines: int = 40) -> str:
    """The last lines of a run's log."""
    content = _artifact(record, "log", out, TAIL)
    return "" if content is None else "\n".join(content.decode(errors="replace").splitlines()[-lines:])


def _artifact(record: Record, purpose: str, out: Path, last: int | None = None) -> bytes | None:
    """What a run left for a purpose, or so many `last` bytes of it.

    The report is for others to read, so a link to a file that is none of a run is not followed; nor is anything opened
    that is no file and could block.
    """
    name = record.artifacts.get(purpose)
    if name is None:
        return None
    runs = out / "runs"
    try:
        path = (runs / record.key / name).resolve()
        if not path.is_relative_to(runs.resolve()) or not path.is_file():
            return None
        with path.open("rb") as file:
            if last is not None:
                file.seek(max(0, path.stat().st_size - last))
            return file.read()
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return None

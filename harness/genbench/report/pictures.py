"""Pictures, codes and logs that runs left beside their records. A file that is missing is simply not there; a damaged
one is named and left out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from genbench.results.artifacts import Damaged, Form, check_picture, read_arrays, read_artifact
from genbench.results.store import Skipped

if TYPE_CHECKING:
    from genbench.results.schema import Record

#: Bytes of a log that are read.
TAIL = 8000
#: Images of a row, and numbers of all of them, at most: more would take minutes to draw.
IMAGES, NUMBERS = 100, 32_000_000
_PLANE, _SCORE = Form("f", (None, 2)), Form("f", (), optional=True)
#: What is drawn of a run's codes, and of its rows of images.
CODES: Mapping[str, Form] = {
    "code_2d": _PLANE,
    "pca_2d": _PLANE,
    "y": Form("iu", (None,)),
    **dict.fromkeys(("knn_accuracy", "silhouette", "pca_knn_accuracy", "pca_silhouette"), _SCORE),
}
ROWS: Mapping[str, Form] = dict.fromkeys(
    ("x", "reconstructed", "noisy", "restored"), Form("u", (None, None, None, None), most=4096)
)

A = TypeVar("A")


class Artifacts:
    """The artifacts that the runs of an output folder left.

    Attributes:
        damaged: by the run's key and the purpose, the files that were asked for and can't be used.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.damaged: dict[tuple[str, str], Skipped] = {}

    def picture(self, record: Record, purpose: str) -> str | None:
        """The PNG that a run left for this purpose, as a `data:` URI."""
        return self._read(record, purpose, _picture)

    def codes(self, record: Record) -> dict[str, Any] | None:
        """The arrays `CODES` of a run's `codes` artifact."""
        return self._read(record, "codes", _codes)

    def rows(self, record: Record) -> dict[str, Any] | None:
        """The arrays of a run's `rows` artifact: `x`, `reconstructed`, `noisy` and `restored`, uint8 `(N, C, H, W)`."""
        return self._read(record, "rows", _rows)

    def _read(self, record: Record, purpose: str, understand: Callable[[bytes], A]) -> A | None:
        try:
            content = read_artifact(record, purpose, self.out)
            return None if content is None else understand(content)
        except Damaged as error:
            path = self.out / "runs" / record.key / record.artifacts[purpose]
            self.damaged[record.key, purpose] = Skipped(path, str(error))
            return None


def png_uri(png: bytes) -> str:
    """The picture as a `data:` URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def log_tail(record: Record, out: Path, lines: int = 40) -> str:
    """The last lines of a run's log, or why it can't be read."""
    try:
        content = read_artifact(record, "log", out, last=TAIL)
    except Damaged as error:
        return f"({record.artifacts['log']} is left out: {error})"
    return "" if content is None else "\n".join(content.decode(errors="replace").splitlines()[-lines:])


def _picture(content: bytes) -> str:
    check_picture(content)
    return png_uri(content)


def _codes(content: bytes) -> dict[str, Any]:
    found = read_arrays(content, CODES)
    if not len({len(found[name]) for name in ("code_2d", "pca_2d", "y")}) == 1 or not len(found["y"]):
        raise Damaged("its codes and labels are not as many, or there are none")
    return found


def _rows(content: bytes) -> dict[str, Any]:
    found = read_arrays(content, ROWS)
    x = found["x"]
    if len({array.shape for array in found.values()}) > 1:
        raise Damaged("its rows are not of one size")
    if x.shape[1] not in (1, 3) or not 0 < x.size <= NUMBERS or len(x) > IMAGES or x.dtype.itemsize > 1:
        raise Damaged(f"its rows are no images: {x.dtype} of the shape {x.shape}")
    return found

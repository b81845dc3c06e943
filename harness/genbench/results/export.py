"""Records as one file for other programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.errors import GenbenchError, UsageError
from genbench.results.schema import Record
from genbench.results.spreadsheets import harmless
from genbench.results.store import write_atomically

if TYPE_CHECKING:
    import pandas as pd


def export(records: Iterable[Record], path: Path) -> None:
    """Write the frame of `genbench.results.frame.to_frame` in the format that the file's suffix names.

    Raises:
        UsageError: it names none.
        GenbenchError: the file can't be written.
    """
    from genbench.results.frame import to_frame  # late: brings pandas

    write = writer(path)
    try:
        write_atomically(path, write(to_frame(records)))
    except OSError as error:
        raise GenbenchError(f"can't write {path}: {error.strerror or error}") from None


def writer(path: Path) -> Callable[[pd.DataFrame], bytes]:
    """What makes a file's content of a frame, by the file's suffix.

    Raises:
        UsageError: there is no such format.
    """
    if path.suffix not in WRITERS:
        raise UsageError(f"can't export to '{path.suffix or path.name}' files: give one of {', '.join(WRITERS)}")
    return WRITERS[path.suffix]


def _parquet(frame: pd.DataFrame) -> bytes:
    from genbench.results.frame import NUMBER_COLUMNS  # late: see above

    texts = frame.columns.difference([*NUMBER_COLUMNS, "seed"])
    return frame.astype(dict.fromkeys(texts, "string")).to_parquet(index=False, engine="pyarrow")


def _csv(frame: pd.DataFrame) -> bytes:
    from genbench.results.frame import NUMBER_COLUMNS  # late: see above

    texts = frame.columns.difference([*NUMBER_COLUMNS, "seed"])
    for name in texts:  # whose many cells hold few texts
        changed = {text: safe for text in frame[name].unique() if (safe := harmless(text)) is not text}
        if changed:
            frame = frame.assign(**{name: [changed.get(cell, cell) for cell in frame[name]]})
    return frame.to_csv(index=False).encode()


def _json(frame: pd.DataFrame) -> bytes:
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return json.dumps(rows, indent=1, allow_nan=False).encode()


WRITERS: dict[str, Callable[[pd.DataFrame], bytes]] = {".parquet": _parquet, ".csv": _csv, ".json": _json}

"""The output folder: `OUT/runs/<key>/record.json`, written whole or not at all, validated on reading."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from genbench.errors import GenbenchError
from genbench.files import is_plain, read_content, remove, remove_unless_plain
from genbench.results.consistency import Checker
from genbench.results.schema import Record
from genbench.results.sharing import Sharing

RECORD = "record.json"
#: So many records are kept from the garbage collector: searching them takes seconds each time, and finds no garbage.
MANY = 1000
#: Bytes of a record, at most: the largest of those published have a thousandth.
LARGEST = 64 * 2**20
_OTHER_SCHEMA = "not a genbench record of schema 1 or 2"


@dataclass(frozen=True)
class Skipped:
    """A record that could not be read, with the reason."""

    path: Path
    reason: str


class Store:
    """The records of one output folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.runs = out / "runs"

    def folder(self, key: str) -> Path:
        """The folder of the run with this key; it need not exist."""
        return self.runs / key

    def path(self, key: str) -> Path:
        """The record of the run with this key; it need not exist."""
        return self.folder(key) / RECORD

    def workspace(self, key: str) -> Path:
        """The folder that a run under way works in; `publish` moves what is in it to the run's own folder."""
        return self.out / "work" / key

    def lock(self, key: str) -> Path:
        """The file that is locked by who works on the run with this key."""
        return self.out / "work" / f"{key}.lock"

    def prepare(self) -> None:
        """Make the folder and see that it can be written.

        Raises:
            GenbenchError: it can't.
        """
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.runs):
                pass
        except OSError as error:
            raise GenbenchError(f"can't write to the output folder {self.out}: {error.strerror or error}") from None

    def publish(self, record: Record) -> None:
        """Write a record beside the files in its run's workspace, and move all of them to the run's own folder.

        The record comes last, in one rename: whenever this is cut short, the folder holds the record it held before.
        """
        workspace = self.workspace(record.key)
        workspace.mkdir(parents=True, exist_ok=True)
        remove_unless_plain(workspace / RECORD)
        write_atomically(workspace / RECORD, record_text(record))
        self.move_in(workspace, record.key)

    def move_in(self, workspace: Path, key: str) -> None:
        """Make the files of a workspace, the record among them, the run with this key, in place of what it had.

        A run has plain files only: folders, links and the like are left behind, and so are hidden files, which may be
        halves that a killed process was writing.
        """
        folder = self.folder(key)
        if folder.is_symlink() or not folder.is_dir():  # a link is to somebody else's results, not ours to change
            folder.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        files = {path.name: path for path in workspace.iterdir() if is_plain(path) and not path.name.startswith(".")}
        for name, path in sorted(files.items(), key=lambda item: item[0] == RECORD):
            remove_unless_plain(folder / name)
            path.replace(folder / name)
        for path in folder.iterdir():
            if path.name not in files:
                remove(path)
        _discard(workspace)

    def identity(self, key: str) -> tuple[int, ...] | None:
        """The numbers that tell the record file of a run from one that takes its place; None where there is none."""
        try:
            found = self.path(key).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def read(self, key: str) -> Record | Skipped | None:
        """The record of the run with this key, why it can't be read, or None where there is none."""
        path = self.path(key)
        return read_record(path) if path.exists() else None

    def read_all(self, *, curves: bool = True) -> tuple[list[Record], list[Skipped]]:
        """Every record of the folder, by key, and those that were skipped. Records share the parts that are equal in
        them, such as a protocol, so that tens of thousands fit into memory.

        Without `curves` they are validated as well, but not kept: they are half of what a record holds, and no table
        needs them.

        Raises:
            GenbenchError: there is no such folder.
        """
        with no_collection():
            records, skipped = read_records(self.paths(), curves=curves)
            if len(records) >= MANY:
                gc.freeze()
        return records, skipped

    def paths(self) -> list[Path]:
        """Where the records of the folder are, by key; a folder that has none is among them.

        Raises:
            GenbenchError: there is no such folder.
        """
        try:
            return [Path(f"{self.runs}/{key}/{RECORD}") for key in sorted(os.listdir(self.runs))]  # noqa: PTH208 (as names, of which there are many)
        except OSError as error:
            reason = "it has no folder 'runs'" if isinstance(error, FileNotFoundError) else error.strerror
            raise GenbenchError(f"no results in {self.out}: {reason}") from None


def record_text(record: Record) -> str:
    """The record as its file holds it."""
    return record.model_dump_json(by_alias=True, indent=1)


def read_records(paths: Iterable[Path], *, curves: bool = True) -> tuple[list[Record], list[Skipped]]:
    """The records in these files, as far as there are any, which share what is equal in them, and those that can't be
    read."""
    records: list[Record] = []
    skipped: list[Skipped] = []
    sharing, checker = Sharing(), Checker()
    for path in paths:
        found = _read(path, checker)
        if found is None:
            continue
        if isinstance(found, Record) and not sharing.knows_protocol(found):
            found = _with_finite_protocol(path, found)
        if isinstance(found, Record):
            if not curves:
                found.__dict__["curve"] = []
            sharing.share(found)
            records.append(found)
        else:
            skipped.append(found)
    return records, skipped


def read_record(path: Path) -> Record | Skipped:
    """The record in this file, or why it can't be read."""
    found = _read(path, Checker())
    if found is None:
        return Skipped(path, "there is none")
    return found if isinstance(found, Skipped) else _with_finite_protocol(path, found)


def _read(path: Path, checker: Checker) -> Record | Skipped | None:
    """The record in this file, why it can't be read, or None where there is no file."""
    try:
        content = read_content(path, LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Skipped(path, f"unreadable: {error.strerror}")
    try:
        record = Record.model_validate_json(content)
    except ValidationError as error:
        return Skipped(path, _what_is_wrong(content, error))
    if "schema_" not in record.model_fields_set:
        return Skipped(path, _OTHER_SCHEMA)
    if record.key != path.parent.name:
        return Skipped(path, f"its key {record.key} is not the name of its folder")
    if said := checker.contradiction(record):
        return Skipped(path, f"it contradicts itself: {said}; was it edited by hand?")
    return record


def _with_finite_protocol(path: Path, record: Record) -> Record | Skipped:
    """The record from this file, unless a number of its protocol is none that JSON has: tables are written as JSON."""
    try:
        json.dumps(record.protocol, allow_nan=False)
    except ValueError:
        return Skipped(path, "not a valid record: protocol: a number in it is not finite")
    return record


def _what_is_wrong(content: bytes, error: ValidationError) -> str:
    """Why this is no record, given what is not valid in it."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as unreadable:
        return f"no JSON document: {unreadable}"
    if not isinstance(document, dict) or document.get("schema") not in (1, 2):
        return _OTHER_SCHEMA
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"not a valid record: {where}: {first['msg']}"


@contextmanager
def no_collection() -> Iterator[None]:
    """Without garbage collection, which would search all that was read so far again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _discard(workspace: Path) -> None:
    """Remove a workspace, in one step first: one that is there still means a run that was not published."""
    done = workspace.with_name(f"{workspace.name}.done")
    shutil.rmtree(done, ignore_errors=True)
    with suppress(OSError):
        workspace = workspace.rename(done)
    shutil.rmtree(workspace, ignore_errors=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, whatever happens in between.

    Raises:
        OSError: it can't be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what is told
            temporary.unlink(missing_ok=True)
        raise

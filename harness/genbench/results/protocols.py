"""The records of an output folder, one protocol after the other: more of them than one would hold at a time, in as many
processes as that takes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from genbench.errors import GenbenchError
from genbench.files import read_content
from genbench.results.schema import Record
from genbench.results.store import LARGEST, MANY, Skipped, no_collection, read_record, read_records

#: Processes at most: each holds the records of one protocol, and with many of them memory would run out.
PROCESSES = 2
#: Files that a process looks at before it is given others.
PART = 1000
#: Why a record is skipped that belongs elsewhere.
_OTHER = "its protocol is not what it seemed to be at first: was it changed while it was read?"
#: How a record's file names its protocol's hash, and with it the hash.
_NAME, _HASH = b'"protocol_hash"', re.compile(rb'"protocol_hash":\s*"([0-9A-Za-z]*)"')

A = TypeVar("A")
B = TypeVar("B")


class Map(Protocol):
    """The built-in `map` of one argument, or another that does the same."""

    def __call__(self, function: Callable[[A], B], arguments: Iterable[A], /) -> Iterator[B]: ...


def by_protocol(paths: Sequence[Path], map_: Map = map) -> dict[str, list[Path]]:
    """The records of each protocol, by the hash that their files name, without being read as records; what can't be
    read as one stands somewhere."""
    found: dict[str, list[Path]] = {}
    parts = [paths[start : start + PART] for start in range(0, len(paths), PART)]
    for part, names in zip(parts, map_(_named_protocols, parts), strict=True):
        for path, name in zip(part, names, strict=True):
            found.setdefault(name, []).append(path)
    return found


@contextmanager
def processes(records: int) -> Iterator[Map]:
    """A `map` for so many records, in processes of its own if that is worth it.

    They are forks of this one, which should not hold much by then. Only on Linux, where a fork is a safe thing to do.
    """
    count = min(PROCESSES, len(os.sched_getaffinity(0))) if sys.platform == "linux" else 1
    if count < 2 or records < MANY or multiprocessing.current_process().daemon:
        yield map
        return
    try:
        with ProcessPoolExecutor(count, multiprocessing.get_context("fork"), _begin) as pool:
            try:
                yield pool.map
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise GenbenchError("a process that read records died: there may be too little memory") from None


def gather(
    work: Mapping[str, Sequence[Path]],
    function: Callable[[list[Record]], B],
    map_: Map = map,
    meanwhile: Callable[[], object] | None = None,
) -> tuple[list[B], list[Skipped]]:
    """What the function makes of all records of each protocol, and what can't be read.

    Args:
        work: as `by_protocol` gives it.
        function: called with at least one record.
        map_: as `processes` gives it.
        meanwhile: called while other processes are at work, or before this one is.
    """
    found = map_(partial(_without_collection, function), work.items())
    if meanwhile is not None:
        meanwhile()
    results: list[B] = []
    skipped: list[Skipped] = []
    for result, damaged in found:
        if result is not None:
            results.append(result)
        skipped += damaged
    return results, sorted(skipped, key=lambda item: item.path)


def _begin() -> None:
    """Leave it to the parent what an interrupt ends, and end when it does, however that comes. What is the parent's is
    kept from the garbage collector, which would write to it, and thereby copy it."""
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_end_of_parent, daemon=True).start()


def _wait_for_end_of_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _without_collection(
    function: Callable[[list[Record]], B], work: tuple[str, Sequence[Path]]
) -> tuple[B | None, list[Skipped]]:
    with no_collection():  # until the records are gone
        return _read_and_call(function, *work)


def _read_and_call(
    function: Callable[[list[Record]], B], protocol: str, paths: Sequence[Path]
) -> tuple[B | None, list[Skipped]]:
    records, skipped = read_records(paths)
    same = [record for record in records if record.protocol_hash == protocol]
    others = {record.key for record in records if record.protocol_hash != protocol}
    skipped += [Skipped(path, _OTHER) for path in paths if path.parent.name in others]
    return (function(same) if same else None), skipped


def _named_protocols(paths: Iterable[Path]) -> list[str]:
    return [_named_protocol(path) for path in paths]


def _named_protocol(path: Path) -> str:
    """The hash of the protocol that a record's file names; if it does not do so in one place, whatever it means."""
    try:
        content = read_content(path, LARGEST)
    except OSError:
        return ""
    if content.count(_NAME) == 1 and (match := _HASH.search(content)):
        return match[1].decode()
    found = read_record(path)
    return found.protocol_hash if isinstance(found, Record) else ""

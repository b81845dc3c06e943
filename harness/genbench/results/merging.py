"""The runs of several output folders, put into one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.results.finding import title
from genbench.results.lock import HeldLock
from genbench.results.schema import Record
from genbench.results.store import RECORD, Skipped, Store, write_atomically

#: Runs that a message lists.
LISTED = 5


def merge(sources: Sequence[Path], into: Path) -> tuple[list[str], list[Skipped]]:
    """Copy the runs of the output folders `sources` into the output folder `into`, which may have some already.

    A run's record comes after its other files: whenever this is cut short, each run is there whole or not at all, and
    doing it again goes on. Runs that are there already, with the same record, are left as they are.

    Returns:
        The keys of the runs that were copied, and the records that were skipped because they could not be read.

    Raises:
        UsageError: two folders have different records of the same key; then nothing is copied.
        GenbenchError: a source is no output folder, `into` can't be written, or another process works on some of the
            runs, where they come from or where they go to; the others are copied then.
    """
    target = Store(into)
    chosen: dict[str, tuple[Record, Store]] = {}
    skipped: list[Skipped] = []
    conflicts: list[str] = []
    for store in [*([target] if target.runs.is_dir() else []), *map(Store, sources)]:
        records, damaged = store.read_all()
        skipped += damaged
        for record in records:
            first, where = chosen.setdefault(record.key, (record, store))
            if where is not store and not _same(where.path(record.key), store.path(record.key)):
                about = f"{first.status} in {where.out}, {record.status} in {store.out}"
                conflicts.append(f"{record.key} ({title(first)}): {about}")
    conflicts += _in_the_way(skipped, chosen, target)
    if conflicts:
        raise UsageError(f"nothing was merged, for records of the same key differ: {_listed(conflicts)}")
    target.prepare()
    copied: list[str] = []
    in_use: list[str] = []
    for record, store in [found for found in chosen.values() if found[1] is not target]:
        try:
            with _held(record, store, target) as user:
                if user is None:
                    _copy(record, store, target)
                    copied.append(record.key)
                else:
                    in_use.append(f"{record.key} ({title(record)}) in {user.out}")
        except OSError as error:
            raise GenbenchError(f"can't copy {store.folder(record.key)} to {into}: {error.strerror or error}") from None
    if in_use:
        raise GenbenchError(
            f"another process works on {_listed(in_use)}; {len(copied)} others were copied: merge again when it is done"
        )
    return copied, skipped


@contextmanager
def _held(record: Record, source: Store, target: Store) -> Iterator[Store | None]:
    """Keeps others from working on a run in either folder; gives the folder in which somebody does so already, or has
    done so since the record was read."""
    with ExitStack() as held:
        for store, expected in ((source, record), (target, None)):
            path = store.lock(record.key)
            # who works on a run has made the file, which a source that can't be written may be without
            lock = HeldLock.take(path) if store is target or path.exists() else None
            if lock is not None:
                held.callback(lock.release)
            if (lock is None and path.exists()) or store.read(record.key) != expected:
                yield store
                return
        yield None


def _listed(items: Sequence[str]) -> str:
    """The first few of them."""
    more = f"; and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return f"{'; '.join(items[:LISTED])}{more}"


def _same(one: Path, other: Path) -> bool:
    """Whether two record files hold the same document."""
    contents = one.read_bytes(), other.read_bytes()
    return contents[0] == contents[1] or json.loads(contents[0]) == json.loads(contents[1])


def _in_the_way(skipped: Iterable[Skipped], chosen: dict[str, tuple[Record, Store]], target: Store) -> list[str]:
    """The runs whose place in the target is taken by a record that can't be read, and could be a newer genbench's."""
    keys = [item.path.parent.name for item in skipped if item.path.parent.parent == target.runs]
    found = [chosen[key] for key in keys if key in chosen]
    return [
        f"{record.key} ({title(record)}): not readable in {target.out}, {record.status} in {store.out}"
        for record, store in found
    ]


def _copy(record: Record, source: Store, target: Store) -> None:
    """Copy the record and the artifacts that it lists: plain files of the run's own folder, and nothing else in it."""
    workspace = target.workspace(f"{record.key}.merge")
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)
    own = source.runs.resolve() / record.key
    for name in set(record.artifacts.values()) - {RECORD}:
        path = own / name
        if path.is_file() and path.resolve() == path:  # neither it nor its folder is a link
            shutil.copyfile(path, workspace / name)
    write_atomically(workspace / RECORD, source.path(record.key).read_bytes())
    target.move_in(workspace, record.key)

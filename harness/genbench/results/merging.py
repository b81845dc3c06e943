"""The runs of several output folders, put into one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from genbench.errors import GenbenchError, UsageError
from genbench.results.agreement import SHOWN, differences, extends
from genbench.results.finding import title
from genbench.results.lock import HeldLock
from genbench.results.schema import Record
from genbench.results.store import RECORD, Skipped, Store, write_atomically

#: Which of two records that differ is kept.
Keep = Literal["first", "newest"]
#: Runs that a message lists.
LISTED = 5


def merge(sources: Sequence[Path], into: Path, keep: Keep | None = None) -> tuple[list[str], list[Skipped]]:
    """Copy the runs of the output folders `sources` into the output folder `into`, which may have some already.

    Of a run that several folders have, and whose records agree, the one with more metrics is kept, else that in `into`,
    else that of the first folder. Where they differ, `keep` says which is: that one as well, or the newest.

    A run's record comes after its other files: whenever this is cut short, each run is there whole or not at all, and
    doing it again goes on. Runs that are there already are left as they are.

    Returns:
        The keys of the runs that were copied, and the records that were skipped because they could not be read.

    Raises:
        UsageError: two folders have records of one key that differ, and `keep` does not say which to keep, or `into`
            has one that can't be read, or lies among the runs of a source; then nothing is copied.
        GenbenchError: a source is no output folder, `into` can't be written, or another process works on some of the
            runs, where they come from or where they go to; the others are copied then.
    """
    target = Store(into)
    chosen: dict[str, tuple[Record, Store]] = {}
    there: dict[str, Record] = {}
    skipped: list[Skipped] = []
    conflicts: list[str] = []
    for store in _stores(sources, target):
        records, damaged = store.read_all()
        skipped += damaged
        if store is target:
            there = {record.key: record for record in records}
        for record in records:
            first, where = chosen.setdefault(record.key, (record, store))
            if where is store:
                continue
            difference = next(differences(first, record), None)
            if difference is None:
                if not extends(first, record):
                    chosen[record.key] = record, store
            elif keep is None:
                name, one, other = difference
                about = f"{name} is {one} in {where.out} ({_date(first)}), {other} in {store.out} ({_date(record)})"
                conflicts.append(f"{record.key} ({title(first)}): {about}")
            elif keep == "newest" and _date(record) > _date(first):
                chosen[record.key] = record, store
    unreadable = _in_the_way(skipped, chosen, target)
    if conflicts or unreadable:
        remedy = "" if unreadable else "; --keep first or --keep newest says which to keep"
        raise UsageError(
            f"nothing was merged, for records of one key differ: {_listed([*unreadable, *conflicts])}{remedy}"
        )
    target.prepare()
    copied: list[str] = []
    in_use: list[str] = []
    for record, store in [found for found in chosen.values() if found[1] is not target]:
        try:
            with _held(record, store, there.get(record.key), target) as user:
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


def _stores(sources: Sequence[Path], target: Store) -> list[Store]:
    """The folders to be read, each once: the target first, where it is an output folder already.

    Raises:
        UsageError: the target lies among the runs of a source.
    """
    stores = {target.out.resolve(): target} if target.runs.is_dir() else {}
    for source in sources:
        if target.out.resolve().is_relative_to((source / "runs").resolve()):
            raise UsageError(f"can't merge into {target.out}: it lies among the runs of {source}")
        stores.setdefault(source.resolve(), Store(source))
    return list(stores.values())


def _date(record: Record) -> str:
    """When the run was carried out, as its record says; dates of this form sort as text."""
    return str(record.provenance.get("date", "no date"))[:SHOWN]


@contextmanager
def _held(record: Record, source: Store, there: Record | None, target: Store) -> Iterator[Store | None]:
    """Keeps others from working on a run in either folder; gives the folder in which somebody does so already, or has
    done so since the records were read."""
    with ExitStack() as held:
        for store, expected in ((source, record), (target, there)):
            path = store.lock(record.key)
            # who works on a run has made the file, which a source that can't be written may be without
            lock = HeldLock.take(path) if store is target or path.exists() else None
            if lock is not None:
                held.callback(lock.release)
            if (lock is None and path.exists()) or _text(store.read(record.key)) != _text(expected):
                yield store
                return
        yield None


def _text(found: Record | Skipped | None) -> str:
    """A record, by which it can be told from others: NaN in it is not equal to itself."""
    return found.model_dump_json() if isinstance(found, Record) else str(found)


def _listed(items: Sequence[str]) -> str:
    """The first few of them."""
    more = f"; and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return f"{'; '.join(items[:LISTED])}{more}"


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

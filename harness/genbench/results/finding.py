"""A finished run by what a user calls it: its folder, the beginning of its key, or its model's label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genbench.errors import UsageError, unknown
from genbench.results.schema import Record
from genbench.results.store import RECORD, Skipped, Store, read_record


def find_run(name: str, out: Path) -> tuple[Record, Path]:
    """The record that `name` means, and its folder.

    Args:
        name: a run's folder; or, within `out`, a label that one run has, or the beginning of a key that no other run's
            begins with.
        out: an output folder.

    Raises:
        UsageError: no run is meant, or several are; the message lists the nearest, or those that are meant.
        GenbenchError: there is no such output folder, or the record is not valid.
    """
    folder = Path(name)
    if (folder / RECORD).is_file():
        found = read_record(folder.resolve() / RECORD)
        if isinstance(found, Skipped):
            raise UsageError(f"{found.path}: {found.reason}")
        return found, folder
    store = Store(out)
    records, _ = store.read_all()
    meant = [record for record in records if record.spec.label == name]
    meant = meant or [record for record in records if record.key.startswith(name)]
    if not meant:
        error = unknown("run", name, names_of_runs(records))
        raise UsageError(f"{error} (in {out}; --results DIR looks elsewhere)")
    if len(meant) > 1:
        listed = "; ".join(f"{record.key} ({title(record)})" for record in meant)
        raise UsageError(f"'{name}' means {len(meant)} runs: {listed}; give one's key")
    return meant[0], store.folder(meant[0].key)


def names_of_runs(records: Sequence[Record]) -> list[str]:
    """What the runs may be called: every key, and every label."""
    return list(dict.fromkeys([*(record.spec.label for record in records), *(record.key for record in records)]))


def title(record: Record) -> str:
    """What a run is, in a few words."""
    return f"{record.spec.label} on {record.spec.data}, {record.spec.budget}, seed {record.spec.seed}"

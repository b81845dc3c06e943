"""Everything that a comparison writes beside its records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from genbench.report.failures import failures
from genbench.report.formats import write_tables
from genbench.report.layout import Table
from genbench.report.tables import build_tables
from genbench.results.schema import Record
from genbench.results.store import Skipped, Store


def write_all(out: Path, warn: Callable[[Sequence[Skipped]], None] | None = None) -> list[Path]:
    """Write the CSV and Markdown tables, the plots and the HTML report of an output folder; their paths.

    Plotting takes a lot of memory for a process that only watches others: `genbench run` calls this in one of its own.

    Args:
        out: the output folder.
        warn: told what can't be read, before anything is written.

    Raises:
        GenbenchError: there is no such folder.
    """
    from genbench.report.page import write_page  # late: brings jinja2

    store = Store(out)
    tables, failed, skipped = _tables(store)
    if warn is not None:
        warn(skipped)
    return [*write_tables(tables, out), *write_page(tables, failed, skipped, out, store.read_again)]


def _tables(store: Store) -> tuple[list[Table], list[Record], list[Skipped]]:
    """The tables, the records in which something failed, and what can't be read. The page reads the other records
    again, one protocol at a time: there may be more than fit into memory beside the plots."""
    records, skipped = store.read_all(curves=False)
    failed = {row.key for row in failures(records)}
    return build_tables(records), [record for record in records if record.key in failed], skipped

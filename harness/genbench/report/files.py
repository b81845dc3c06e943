"""Everything that a comparison writes beside its records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genbench.report.formats import write_tables
from genbench.results.schema import Record
from genbench.results.store import Skipped, Store


def write_all(out: Path) -> list[Path]:
    """Write the CSV and Markdown tables, the plots and the HTML report of an output folder; their paths.

    Plotting takes a lot of memory for a process that only watches others: `genbench run` calls this in one of its own.

    Raises:
        GenbenchError: there is no such folder.
    """
    return write_files(*Store(out).read_all(), out)


def write_files(records: Sequence[Record], skipped: Sequence[Skipped], out: Path) -> list[Path]:
    """The same for records that have been read."""
    from genbench.report.page import write_report  # late: brings jinja2

    return [*write_tables(records, out), *write_report(records, skipped, out)]

"""Everything that a comparison writes beside its records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.report.formats import write_tables

if TYPE_CHECKING:
    from genbench.results.schema import Record
    from genbench.results.store import Skipped


def write_all(records: Sequence[Record], skipped: Sequence[Skipped], out: Path) -> list[Path]:
    """Write the CSV and Markdown tables, the plots and the HTML report; their paths."""
    from genbench.report.page import write_report  # late: brings jinja2

    return [*write_tables(records, out), *write_report(records, skipped, out)]

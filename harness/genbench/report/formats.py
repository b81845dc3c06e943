"""Tables as text in the format that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from genbench.errors import unknown
from genbench.report.latex import to_latex
from genbench.report.layout import Table
from genbench.report.markdown import to_markdown
from genbench.report.tidy import to_csv, to_json


def render(tables: Sequence[Table], output: str) -> str:
    """The tables as text in one of `FORMATS`.

    Markdown and LaTeX show the main columns, or those that were asked for; the others show all.

    Raises:
        UsageError: there is no such format.
    """
    if output not in FORMATS:
        raise unknown("format", output, FORMATS)
    return FORMATS[output](tables)


def write_tables(tables: Sequence[Table], out: Path) -> list[Path]:
    """Write `OUT/table.csv` and `OUT/table.md`; their paths."""
    from genbench.results.store import write_atomically  # late: brings pydantic

    paths = []
    for output in ("csv", "md"):
        paths.append(out / f"table.{output}")
        write_atomically(paths[-1], render(tables, output))
    return paths


def _to_html(tables: Sequence[Table]) -> str:
    from genbench.report.page import tables_to_html  # late: brings jinja2

    return tables_to_html(tables)


FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "html": _to_html,
    "json": to_json,
}

"""`genbench table`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from genbench.cli import complete

FORMATS = ("terminal", "md", "csv", "latex", "html", "json")


@click.command("table")
@click.argument("out", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--format", "form", type=click.Choice(FORMATS), default="terminal", show_default=True, help="The format.")
@click.option(
    "--sort",
    metavar="COLUMN",
    shell_complete=complete.columns,
    help="Sort rows by this column, best first; -COLUMN for worst first.",
)
@click.option(
    "--columns",
    metavar="NAMES",
    shell_complete=complete.columns,
    help="Show only these columns, separated by commas, in this order.",
)
def command(out: Path, form: str, sort: str | None, columns: str | None) -> None:
    """Print the comparison tables of the output folder OUT (default: results), one per protocol.

    \b
    Examples:
      genbench table
      genbench table results --sort fid --columns fid,kid,bits_per_dim
      genbench table results --format latex > table.tex
    """
    from genbench.cli.common import console, warn_of_skipped
    from genbench.report.formats import render
    from genbench.report.tables import build_table, together
    from genbench.report.terminal import print_tables
    from genbench.results.protocols import by_protocol, gather, processes
    from genbench.results.store import Store

    chosen = [name.strip() for name in columns.split(",")] if columns else None
    paths = Store(out).paths()
    with processes(len(paths)) as map_:
        found, skipped = gather(by_protocol(paths, map_), partial(build_table, sort=sort, columns=chosen), map_)
    warn_of_skipped(skipped)
    tables = together(found, sort, chosen)
    if form == "terminal":
        print_tables(tables, console())
    else:
        click.echo(render(tables, form).rstrip("\n"))

"""`genbench compare`."""

from __future__ import annotations

from pathlib import Path

import click

from genbench.cli.common import json_option
from genbench.cli.complete import columns


@click.command("compare")
@click.argument("out", type=click.Path(path_type=Path), default=Path("results"))
@click.option(
    "--column",
    metavar="NAME",
    shell_complete=columns,
    help="The column to compare. [default: the first in which models are ranked]",
)
@json_option
def command(out: Path, column: str | None, as_json: bool) -> None:
    """Compare the models of the output folder OUT (default: results) in one column.

    Prints their ranks with intervals and the differences between every two of them, paired where they share seeds.
    Numbers of different protocols are never compared: each protocol has a table of its own.

    \b
    Examples:
      genbench compare
      genbench compare sweep --column fid
      genbench compare sweep --column bits_per_dim --json
    """
    from genbench.cli.common import console, warn_of_skipped
    from genbench.report.standings import chosen_column, standings
    from genbench.report.tables import build_tables
    from genbench.report.terminal import print_standings
    from genbench.report.tidy import standings_to_json
    from genbench.results.store import Store

    records, skipped = Store(out).read_all(curves=False)
    warn_of_skipped(skipped)
    tables = build_tables(records, columns=[column] if column else None)
    chosen = [(table, chosen_column(table, column)) for table in tables]
    found = [(table, standings(table, chosen) if chosen else None) for table, chosen in chosen]
    if as_json:
        click.echo(standings_to_json(found).rstrip("\n"))
    else:
        print_standings(found, console())

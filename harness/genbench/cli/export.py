"""`genbench export`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("out", type=click.Path(path_type=Path), default=Path("results"))
@click.option(
    "--to",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The file to write; its suffix is the format: .parquet, .csv or .json.",
)
def command(out: Path, path: Path) -> None:
    """Write all numbers of the output folder OUT (default: results) to one file, a row for each.

    A row says which run it is of, the number, its error, its kind, and the hash of all that must agree before it may be
    compared; numbers that could not be had stand there with the reason.

    \b
    Examples:
      genbench export --to results.parquet
      genbench export sweep --to sweep.csv
    """
    from genbench.cli.common import warn_of_skipped
    from genbench.results.export import export, writer
    from genbench.results.store import Store

    writer(path)  # a suffix that is none is said before tens of thousands of records are read
    records, skipped = Store(out).read_all(curves=False)
    warn_of_skipped(skipped)
    export(records, path)
    click.echo(path)

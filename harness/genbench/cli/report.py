"""`genbench report`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("out", type=click.Path(path_type=Path), default=Path("results"))
def command(out: Path) -> None:
    """Write tables, plots and the self-contained HTML report of the output folder OUT (default: results).

    \b
    Examples:
      genbench report
      genbench report sweep
    """
    from genbench.cli.common import warn_of_skipped
    from genbench.report.files import write_all

    for path in write_all(out, warn_of_skipped):
        click.echo(path)

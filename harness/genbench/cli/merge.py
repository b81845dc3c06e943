"""`genbench merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from genbench.results.merging import Keep


@click.command("merge")
@click.argument("sources", metavar="A B...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", required=True, metavar="C", type=click.Path(path_type=Path), help="The folder to copy to.")
@click.option(
    "--keep",
    type=click.Choice(["first", "newest"]),
    help="Of two records of one run that differ, the one to keep: that of C, else of the first folder; or the newest.",
)
def command(sources: tuple[Path, ...], into: Path, keep: Keep | None) -> None:
    """Copy the runs of the output folders A, B, … into the output folder C, which may have runs already.

    A run that two folders have is kept once, where its records agree in all but what varies between two executions:
    time, speed, memory, provenance. Where they differ, nothing is copied unless --keep says which to keep. A merge that
    was interrupted goes on when it is repeated.

    \b
    Examples:
      genbench merge laptop cluster --into results
      genbench merge node1 node2 node3 --into sweep --keep newest
    """
    from genbench.cli.common import warn_of_skipped
    from genbench.results.merging import merge

    copied, skipped = merge(sources, into, keep)
    warn_of_skipped(skipped)
    click.echo(f"{into}: {len(copied)} run{'' if len(copied) == 1 else 's'} copied")

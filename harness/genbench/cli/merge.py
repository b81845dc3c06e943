"""`genbench merge`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("merge")
@click.argument("sources", metavar="A B...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", required=True, metavar="C", type=click.Path(path_type=Path), help="The folder to copy to.")
def command(sources: tuple[Path, ...], into: Path) -> None:
    """Copy the runs of the output folders A, B, … into the output folder C, which may have runs already.

    The same run in two folders is kept once; where two records of the same key differ, nothing is copied. A merge that
    was interrupted goes on when it is repeated.

    \b
    Examples:
      genbench merge laptop cluster --into results
      genbench merge node1 node2 node3 --into sweep
    """
    from genbench.cli.common import warn_of_skipped
    from genbench.results.merging import merge

    copied, skipped = merge(sources, into)
    warn_of_skipped(skipped)
    click.echo(f"{into}: {len(copied)} run{'' if len(copied) == 1 else 's'} copied")

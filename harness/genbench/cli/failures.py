"""`genbench failures`."""

from __future__ import annotations

from pathlib import Path

import click

from genbench.cli.common import json_option


@click.command("failures")
@click.argument("out", type=click.Path(path_type=Path), default=Path("results"))
@click.option("-v", "--verbose", is_flag=True, help="Add the traceback and the end of the log of each.")
@json_option
def command(out: Path, verbose: bool, as_json: bool) -> None:
    """List what failed in the output folder OUT (default: results): runs that are not ok, and metrics that failed in
    runs that are.

    Of each: where it failed and why, how its process ended, what was used of its budget, its memory when last heard of
    and its key. The exit code is 0 also where something failed.

    \b
    Examples:
      genbench failures
      genbench failures sweep --verbose
      genbench failures sweep --json
    """
    from dataclasses import asdict

    from genbench.cli.common import console, print_json, warn_of_skipped
    from genbench.report.failures import failures
    from genbench.report.terminal import print_failures
    from genbench.results.store import Store

    records, skipped = Store(out).read_all(curves=False)
    warn_of_skipped(skipped)
    rows = failures(records, out if verbose or as_json else None)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_failures(rows, len(records), console(), verbose=verbose)

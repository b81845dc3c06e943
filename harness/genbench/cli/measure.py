"""`genbench measure`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from genbench.cli.common import console, plugin_option
from genbench.cli.complete import names_of
from genbench.errors import GenbenchError


@click.command("measure")
@click.argument("out", type=click.Path(path_type=Path), default=Path("results"))
@click.option(
    "--metrics",
    metavar="REFS",
    default="default",
    show_default=True,
    shell_complete=names_of("metrics"),
    help="Metrics, e.g. default,ais or 'fid[extractor=inception]'.",
)
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Runs at a time.")
@click.option("--evaluation-limit", metavar="TIME", default="1h", show_default=True, help="For each run, at most.")
@plugin_option
def command(out: Path, metrics: str, jobs: int | None, evaluation_limit: str, plugins: tuple[str, ...]) -> int:
    """Measure the finished runs of an output folder from their checkpoints, and train nothing.

    Measured is what a run lacks, what has changed since (a metric of another version or with other options) and what
    failed; its other numbers stay. Runs whose model or data have changed since are named and left as they are.

    \b
    Examples:
      genbench measure
      genbench measure sweep --metrics default,ais
      genbench measure sweep --metrics 'fid[n=2000]' --jobs 2
    """
    from genbench.cli import complain
    from genbench.cli.run import SOME_NOT_OK, exit_code, present
    from genbench.cli.suite import measuring_session
    from genbench.runner.campaign import make_options
    from genbench.runner.display import make_display

    options = make_options(jobs=jobs, evaluation_limit=evaluation_limit)
    session = measuring_session(out, metrics, plugins, options)
    records = session.carry_out(partial(make_display, console(stderr=True)))
    failure = present(session, records)
    if failure is not None:
        return complain(f"the tables and the report were not written: {failure}", GenbenchError.exit_code)
    return SOME_NOT_OK if session.left else exit_code(records)

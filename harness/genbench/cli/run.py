"""`genbench run`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genbench.cli.common import console, suite_options, warn_of_skipped
from genbench.cli.complete import names_of, one_of, trackers
from genbench.cli.output import hangup_ignored
from genbench.errors import GenbenchError
from genbench.plain import error_message, plain_text

if TYPE_CHECKING:
    from genbench.results.schema import Record
    from genbench.runner.session import Session

SOME_NOT_OK, NONE_OK = 3, 4


@click.command("run")
@suite_options
@click.option(
    "--track",
    metavar="NAMES",
    shell_complete=one_of(trackers, many=True),
    help="Log to trackers as runs go: tensorboard, mlflow or both.",
)
@click.option(
    "--executor",
    metavar="NAME",
    default="local",
    shell_complete=names_of("executors"),
    help="What carries the runs out. [default: local]",
)
@click.option(
    "--address", metavar="ADDRESS", help="Where the executor finds its machines, e.g. auto for a Ray cluster."
)
@click.option("--no-resume", is_flag=True, help="Start runs over that were killed, in place of going on with them.")
@click.option(
    "--evaluation-limit",
    metavar="TIME",
    default="1h",
    help="End a run that is measured for longer, e.g. 30min. [default: 1h]",
)
def command(
    suite: str | None,
    plugins: tuple[str, ...],
    force: bool,
    retry: str | None,
    jobs: int | None,
    track: str | None,
    executor: str,
    address: str | None,
    no_resume: bool,
    evaluation_limit: str,
    **flags: Any,
) -> int:
    """Train models under a fixed budget, measure them by one protocol and compare them.

    SUITE is a TOML file with these options as keys, or the name of one that the package ships (separation: codes of
    two dimensions on MNIST, PCA against AE against VAE); flags stand above it. Finished runs are reused, failed ones
    redone, and those that were killed go on from where they were. With --retry and without models, it redoes the runs
    in the output folder that ended so, with what their records say.

    \b
    Examples:
      genbench run --models vae,vqvae,realnvp
      genbench run -m 'vae[latent_dim=2|8|16]' -d mnist -b 5min --seeds 3 -o sweep
      genbench run suite.toml --budget 2000steps
      genbench run separation
      genbench run -m mine -p my_model.py
      genbench run suite.toml --jobs 4 --retry timeout
      genbench run --retry failed -o sweep
      genbench run -m vae,realnvp --track tensorboard
      genbench run suite.toml --jobs 8 --executor ray --address auto

    \b
    Exit codes:
      0 every run ok; 1 an error of genbench itself; 2 bad usage; 3 some runs not ok, or datasets left out; 4 none ok;
      130 interrupted
    """
    from genbench.cli import complain
    from genbench.cli.suite import open_session, say_data
    from genbench.runner.campaign import make_options
    from genbench.runner.display import make_display
    from genbench.runner.workers import RUNNING

    options = make_options(
        force, not no_resume, retry or "failed", jobs, evaluation_limit, track or (), executor, address
    )
    with hangup_ignored():
        session = open_session(suite, flags, retry, plugins, options, RUNNING)
        if session is None:
            return 0
        say_data(session.plan)
        out = console()
        for cell in session.plan.refused:
            out.print(f"not applicable: {cell.label} on {cell.data}: {cell.reason}", markup=False)
        records = session.carry_out(partial(make_display, console(stderr=True)))
        failure = present(session, records)
    if failure is not None:
        return complain(f"the tables and the report were not written: {failure}", GenbenchError.exit_code)
    code = exit_code([*records, *(left.record for left in session.left)])
    return SOME_NOT_OK if code == 0 and session.plan.missing else code


def exit_code(records: list[Record]) -> int:
    """0 where every run is ok, 3 where some are not, 4 where no model's is."""
    if all(record.status == "ok" for record in records):
        return 0
    models = [record for record in records if record.spec.family != "reference"]
    return SOME_NOT_OK if any(record.status == "ok" for record in models) else NONE_OK


def present(session: Session, records: list[Record]) -> str | None:
    """Write the files, then print the tables that the runs belong to and name the files; why there are no files, if
    they can't be written."""
    from genbench.report.tables import build_tables
    from genbench.report.terminal import print_tables

    paths, failure = [], None
    try:
        paths = session.workers.call("genbench.report.files:write_all", session.store.out, returns=list[Path])
    except Exception as error:  # the runs are done, and their numbers are still to be shown
        failure = error_message(error) if isinstance(error, GenbenchError) else _last_line(error)
    everything, skipped = session.store.read_all()
    protocols = {record.protocol_hash for record in records}
    screen = console()
    print_tables(build_tables([record for record in everything if record.protocol_hash in protocols]), screen)
    warn_of_skipped(skipped)
    screen.print(f"records: {session.store.runs}", markup=False)
    for path in paths:
        screen.print(f"{path.suffix.lstrip('.')}: {path}", markup=False)
    return failure


def _last_line(error: Exception) -> str:
    """The exception itself out of a message that has a worker's traceback."""
    return plain_text(error, limit=10**6).strip().rpartition("\n")[2] or error_message(error)

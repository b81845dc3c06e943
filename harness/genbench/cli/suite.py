"""From the options of `run` and `plan` to a suite, or to the runs that are redone, and to the session of either."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genbench.errors import UsageError
from genbench.plan.references import split_references
from genbench.plan.suite import Suite, find_suite, make_suite, parse_seeds, read_suite

if TYPE_CHECKING:
    from genbench.plan.planner import Plan
    from genbench.runner.campaign import RunOptions
    from genbench.runner.session import Session


def open_session(
    suite: str | None,
    flags: dict[str, Any],
    retry: str | None,
    plugins: Sequence[str],
    options: RunOptions,
    preload: str,
) -> Session | None:
    """The session of a suite; where none is described but `retry` is given, that of the runs in the output folder that
    ended so, or None if there are none. Runs that can't be planned any more are named on standard error.

    Raises:
        UsageError: something is unknown, malformed, missing or refused, or there are no records.
        GenbenchError: a file can't be read, no dataset can be had, or the executor's machines can't be reached.
    """
    from genbench.runner.session import Session

    if suite is not None or flags["models"] is not None or retry in (None, "none"):
        return Session.open(suite_from(suite, flags), plugins, options, preload)
    return _redo(flags, plugins, options, preload)


def say_data(plan: Plan) -> None:
    """Say on standard error what was found of a user's files, and which datasets are left out."""
    from genbench.report.protocols import one_line

    for remark in plan.remarks():
        click.echo(one_line(f"genbench: {remark}"), err=True)


def _redo(flags: dict[str, Any], plugins: Sequence[str], options: RunOptions, preload: str) -> Session | None:
    from genbench.cli.common import warn_of_skipped
    from genbench.results.store import Store
    from genbench.runner.redo import Redo
    from genbench.runner.session import Session

    given = [name for name, value in flags.items() if value is not None and name != "out"]
    if given or options.force:
        culprit = given[0] if given else "force"
        how = f"without them, --retry {options.retry} redoes runs as their records say"
        raise UsageError(f"--{culprit} needs a suite or --models: {how}")
    out = flags["out"] or Path(Suite.model_fields["out"].default)
    store = Store(out)
    records, skipped = store.read_all(curves=False) if store.runs.is_dir() else ([], [])
    if not records and not skipped:
        raise UsageError(f"nothing to redo in {out}: it has no records; name models or a suite to run")
    redo = Redo.of(records, options.retry)
    if not redo.runs:
        warn_of_skipped(skipped)
        how = "badly" if options.retry == "failed" else f"as {options.retry}"
        click.echo(f"genbench: nothing to redo in {out}: no run ended {how}", err=True)
        return None
    session = Session.redo(redo, out, plugins, options, preload)
    _say_left(session)
    return session


def measuring_session(out: Path, metrics: str, plugins: Sequence[str], options: RunOptions) -> Session:
    """The session that asks these metrics of the finished runs in an output folder. Runs that can't be measured any
    more are named on standard error.

    Raises:
        UsageError: a metric is unknown or malformed, or no run is finished.
        GenbenchError: there is no such folder.
    """
    from genbench.cli.common import warn_of_skipped
    from genbench.results.store import Store
    from genbench.runner.redo import Redo
    from genbench.runner.session import Session

    records, skipped = Store(out).read_all(curves=False)
    warn_of_skipped(skipped)
    asked = Redo.to_measure(records, split_references(metrics))
    if not asked.runs:
        raise UsageError(f"nothing to measure in {out}: no run is finished")
    session = Session.measure(asked, out, plugins, options)
    _say_left(session)
    return session


def _say_left(session: Session) -> None:
    """Say on standard error which runs are left as they are, and why."""
    from genbench.report.protocols import one_line

    for left in session.left:
        spec = left.record.spec
        title = f"{spec.label} on {spec.data}, seed {spec.seed}"
        click.echo(one_line(f"genbench: left as it is: {title} ({left.record.key}): {left.reason}"), err=True)


def suite_from(suite: str | None, flags: dict[str, Any]) -> Suite:
    """The suite that a file (by path, or by name if the package ships it) and flags describe; a flag that is given
    stands above the file.

    Raises:
        UsageError: something is unknown, malformed or missing.
        GenbenchError: the file can't be read.
    """
    values = read_suite(find_suite(suite)) if suite else {}
    given = {name: value for name, value in flags.items() if value is not None}
    for name in ("models", "datasets", "metrics"):
        if name in given:
            given[name] = split_references(given[name])
    if "seeds" in given:
        given["seeds"] = parse_seeds(given["seeds"])
    values |= given
    return make_suite(values, suite or "options")

"""`genbench plan`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from genbench.cli.common import console, json_option, print_list, suite_options

if TYPE_CHECKING:
    from genbench.plan.planner import Plan
    from genbench.runner.history import History
    from genbench.runner.session import Session

#: The reason that a run without a record is carried out for.
NEW = "new"


@click.command("plan")
@suite_options
@json_option
def command(
    suite: str | None,
    plugins: tuple[str, ...],
    force: bool,
    retry: str | None,
    jobs: int | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Print the matrix of runs, what would be reused and how long the rest would take; run nothing.

    Times are those of the records in the output folder, of the same model on the same data and hardware where there are
    any.

    \b
    Examples:
      genbench plan --models vae,realnvp --datasets digits,mnist --seeds 3
      genbench plan suite.toml --json
      genbench plan --retry failed -o sweep
    """
    from genbench.cli.suite import open_session, say_data
    from genbench.plan.planner import Plan, describe
    from genbench.runner.campaign import make_options
    from genbench.runner.workers import PLANNING

    options = make_options(force=force, retry=retry or "failed", jobs=jobs)
    session = open_session(suite, flags, retry, plugins, options, PLANNING)
    if session is None:
        if as_json:
            _print_json([], [], Plan([], []))
        return
    say_data(session.plan)
    history = _history(session)
    expected = [None if d.reused else history.seconds(d.spec) for d in session.decisions]
    reasons = [
        f"new: {why}" if d.reason == NEW and (why := history.reason(d.spec)) else d.reason for d in session.decisions
    ]
    done = list(zip(session.decisions, reasons, expected, strict=True))
    if as_json:
        runs = [
            describe(d.spec) | {"reused": d.reused is not None, "reason": reason, "expected_seconds": seconds}
            for d, reason, seconds in done
        ]
        _print_json(runs, expected, session.plan)
        return
    rows = []
    for decision, reason, seconds in done:
        spec = decision.spec
        time = "–" if decision.reused else "unknown" if seconds is None else f"about {_duration(seconds)}"
        action = "reuse" if decision.reused else "run"
        rows.append([spec.label, spec.data, str(spec.seed), spec.budget, f"{action}: {reason}", time, spec.key])
    rows += [[c.label, c.data, "", "", f"not applicable: {c.reason}", "–", ""] for c in session.plan.refused]
    print_list(f"{len(session.decisions)} runs", ["model", "data", "seed", "budget", "action", "time", "key"], rows)
    new = [seconds for decision, _, seconds in done if decision.reused is None]
    console().print(
        f"{_total(new, len(session.slots))}; {len(expected) - len(new)} reused; device {_devices(session)}",
        markup=False,
        soft_wrap=True,
    )


def _history(session: Session) -> History:
    """The records of the output folder, as far as they tell of the runs that are to be carried out."""
    from genbench.runner.history import History

    runs = session.store.runs
    if all(decision.reused for decision in session.decisions) or not runs.is_dir():
        return History()
    return History(session.store.read_all(curves=False)[0])


def _total(new: Sequence[float | None], jobs: int) -> str:
    """How long the runs that are carried out will take together."""
    known = [seconds for seconds in new if seconds is not None]
    texts = (
        [f"about {_duration(sum(known) / jobs)}{f', {jobs} at a time' if jobs > 1 else ''}"] if known or not new else []
    )
    if unknown := len(new) - len(known):
        texts.append(f"{unknown} run{'' if unknown == 1 else 's'} of unknown duration: no record tells their speed")
    return ", and ".join(texts)


def _duration(seconds: float) -> str:
    """Seconds in the largest unit of which there are at least two."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.0f} s"


def _print_json(runs: Iterable[Any], expected: Sequence[float | None], plan: Plan) -> None:
    """One run on a line, since there may be thousands."""
    lines = ",\n ".join(json.dumps(run, default=str) for run in runs)
    rest = {
        "not_applicable": [vars(cell) for cell in plan.refused],
        "left_out": [{"data": each.data, "reason": each.reason} for each in plan.missing],
        "found": plan.found,
        "expected_seconds": sum(seconds for seconds in expected if seconds is not None),
    }
    click.echo(f'{{"runs": [\n {lines}\n], {json.dumps(rest)[1:]}')


def _devices(session: Session) -> str:
    return ", ".join(sorted({decision.spec.device for decision in session.decisions})) or "none"

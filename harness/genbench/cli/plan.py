"""`genbench plan`."""

from __future__ import annotations

from typing import Any

import click

from genbench.cli.common import console, json_option, print_json, print_list, suite_options


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

    \b
    Examples:
      genbench plan --models vae,realnvp --datasets digits,mnist --seeds 3
      genbench plan suite.toml --json
      genbench plan --retry failed -o sweep
    """
    from genbench.cli.suite import open_session, say_data
    from genbench.plan.planner import describe, expected_seconds
    from genbench.runner.campaign import make_options
    from genbench.runner.workers import PLANNING

    options = make_options(force=force, retry=retry or "failed", jobs=jobs)
    session = open_session(suite, flags, retry, plugins, options, PLANNING)
    if session is None:
        if as_json:
            print_json({"runs": [], "not_applicable": [], "left_out": [], "found": {}})
        return
    say_data(session.plan)
    expected = [None if d.reused else expected_seconds(d.spec) for d in session.decisions]
    if as_json:
        print_json(
            {
                "runs": [
                    describe(d.spec) | {"reused": d.reused is not None, "reason": d.reason, "expected_seconds": seconds}
                    for d, seconds in zip(session.decisions, expected, strict=True)
                ],
                "not_applicable": [vars(cell) for cell in session.plan.refused],
                "left_out": [{"data": each.data, "reason": each.reason} for each in session.plan.missing],
                "found": session.plan.found,
            }
        )
        return
    rows = []
    for decision, seconds in zip(session.decisions, expected, strict=True):
        spec = decision.spec
        time = "–" if decision.reused else "unknown" if seconds is None else f"about {seconds:.0f} s"
        action = "reuse" if decision.reused else "run"
        rows.append(
            [spec.label, spec.data, str(spec.seed), spec.budget, f"{action}: {decision.reason}", time, spec.key]
        )
    rows += [[c.label, c.data, "", "", f"not applicable: {c.reason}", "–", ""] for c in session.plan.refused]
    print_list(f"{len(session.decisions)} runs", ["model", "data", "seed", "budget", "action", "time", "key"], rows)
    new = [s for s, d in zip(expected, session.decisions, strict=True) if d.reused is None]
    known = sum(seconds for seconds in new if seconds is not None)
    unknown = sum(seconds is None for seconds in new)
    rest = f", and {unknown} runs whose budget is not in seconds" if unknown else ""
    console().print(
        f"about {known / 60:.1f} minutes{rest}; {len(expected) - len(new)} reused; device {_devices(session)}"
    )


def _devices(session: Any) -> str:
    return ", ".join(sorted({decision.spec.device for decision in session.decisions})) or "none"

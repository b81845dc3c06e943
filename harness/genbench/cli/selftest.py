"""`genbench selftest`."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from genbench.cli.common import console, json_option, plugin_option, print_json
from genbench.cli.complete import names_of

if TYPE_CHECKING:
    from genbench.selftest.base import Check
    from genbench.selftest.prove import Outcome

FAILED = 1
COLUMNS = ("estimator", "known answer", "estimate", "away", "verdict")
SIGNS = {"equal": "", "at_most": "≤ ", "at_least": "≥ "}


@click.command("selftest")
@click.argument("names", nargs=-1, shell_complete=names_of("selftests"))
@plugin_option
@json_option
def command(names: tuple[str, ...], plugins: tuple[str, ...], as_json: bool) -> int:
    """Prove what the estimators say where the answer is known: closed forms, enumerations, quadratures.

    NAMES are self-tests; without any, all are carried out. An estimate is to be within 5 standard errors (s.e.) of the
    known answer, or within a tolerance (tol.) where nothing is random. Seeds are fixed: the same machine says the same
    again.

    \b
    Examples:
      genbench selftest
      genbench selftest rbm realnvp
      genbench selftest -p my_model.py --json

    \b
    Exit codes:
      0 every estimator is right; 1 one is wrong, or could not be asked; 2 bad usage
    """
    from genbench.plugins.catalogue import Catalogue
    from genbench.plugins.local import import_file

    catalogue = Catalogue.find(plugins)
    offers = [catalogue.get("selftest", name) for name in names or catalogue.selftests]
    for plugin in catalogue.plugins:
        if plugin.status == "broken":
            click.echo(f"genbench: no self-tests of plugin '{plugin.name}', it is broken: {plugin.reason}", err=True)
    outcomes: list[Outcome] = []
    with console(stderr=True).status("importing torch") as status:
        from genbench.selftest.prove import prove

        for count, offer in enumerate(offers, start=1):
            status.update(f"[{count}/{len(offers)}] {offer.entry.name}: {offer.entry.summary}")
            for path in catalogue.files:
                if str(path) == offer.plugin.source:
                    import_file(path)
            outcomes += prove(offer.entry)
    if as_json:
        print_json([_plain(outcome) for outcome in outcomes])
    else:
        _print(outcomes)
    return 0 if outcomes and all(outcome.passed for outcome in outcomes) else FAILED


def _print(outcomes: list[Outcome]) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    title = f"{sum(outcome.passed for outcome in outcomes)} of {len(outcomes)} checks passed"
    table = Table(*COLUMNS, title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, group in itertools.groupby(outcomes, lambda outcome: outcome.selftest):
        table.add_row(Text(name))
        for outcome in group:
            check = outcome.check
            first, *others = _cells(check) if check else (outcome.error, "", "", "", "FAILED")
            table.add_row(Padding(Text(first), (0, 0, 0, 2)), *map(Text, others))
    console().print(table)


def _cells(check: Check) -> list[str]:
    if check.stderr is None:
        estimate, away = f"{check.estimate:.6g}", f"{_short(check.away)} tol."
    else:
        estimate, away = _with_error(check.estimate, check.stderr), f"{check.away:.2f} s.e."
    return [
        check.estimator,
        f"{SIGNS[check.relation]}{check.known:.6g}",
        estimate,
        away,
        "ok" if check.verdict == "ok" else "FAILED",
    ]


def _with_error(estimate: float, stderr: float) -> str:
    """To the second digit of the standard error."""
    if math.isfinite(estimate) and math.isfinite(stderr):
        estimate = round(estimate, 1 - math.floor(math.log10(stderr)))
    return f"{estimate:.6g} ± {stderr:.2g}"


def _short(away: float) -> str:
    """Two decimals, or the power of ten of what is far away."""
    return f"{away:.0e}" if abs(away) >= 100 else f"{round(away, 2) + 0.0:g}"  # + 0.0: no minus before a zero


def _plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON has it, where a number that is not finite is null."""
    check = outcome.check
    fields: dict[str, Any] = {} if check is None else asdict(check) | {"away": check.away}
    fields.pop("degrees", None)  # decides the verdict, which is there
    return {
        "selftest": outcome.selftest,
        **{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()},
        "verdict": "ok" if outcome.passed else "failed",
        "error": outcome.error,
    }

"""What the commands share that use a trained model: how a run is named, and where it is looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from genbench.cli.common import plugin_option

if TYPE_CHECKING:
    from genbench.runner.trained import Trained

F = TypeVar("F", bound=Callable[..., Any])
RESULTS = Path("results")


def run_options(function: F) -> F:
    """The argument `RUN`, and the options `--results` and `-p`."""
    options = [
        click.argument("run", shell_complete=_runs),
        click.option(
            "--results",
            type=click.Path(path_type=Path),
            default=RESULTS,
            show_default=True,
            help="Output folder that RUN is looked for in.",
        ),
        plugin_option,
    ]
    for option in reversed(options):
        function = option(function)
    return function


def call(function: str, run: str, results: Path, plugins: tuple[str, ...], *arguments: Any) -> tuple[Trained, Any]:
    """The run that is meant, and the result of `genbench.runner.use`'s `function` for it, from a worker process."""
    from genbench.data.cache import fix_folders
    from genbench.runner.trained import Trained
    from genbench.runner.workers import PLANNING, Workers

    fix_folders()
    trained = Trained.find(run, results, plugins)
    trained = replace(trained, folder=trained.folder.absolute())
    return trained, Workers(PLANNING).call(f"genbench.runner.use:{function}", trained, *arguments)


def _runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from genbench.results.finding import names_of_runs
    from genbench.results.store import Store

    store = Store(context.params.get("results") or RESULTS)
    records = store.read_all()[0] if store.runs.is_dir() else []
    usable = [record for record in records if "checkpoint" in record.artifacts]
    return [CompletionItem(name) for name in names_of_runs(usable) if name.startswith(incomplete)]

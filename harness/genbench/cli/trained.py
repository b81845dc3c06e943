"""What the commands share that use a trained model: how a run is named, and where it is looked for."""

from __future__ import annotations

import itertools
import os
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


def picture_option(function: F) -> F:
    """`--out`: the file of a picture."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File of the picture. [default: one that is named after the run, in the working folder]",
    )(function)


def picture_path(what: str, trained: Trained) -> Path:
    """A file in the working folder that is not there yet, named after what it shows and the run."""
    stems = itertools.chain([""], (f"-{count}" for count in itertools.count(2)))
    paths = (
        Path(f"{what}-{trained.record.spec.model.replace('/', '-')}-{trained.record.key[:8]}{stem}.png")
        for stem in stems
    )
    return next(path for path in paths if not os.path.lexists(path))


def find(run: str, results: Path, plugins: tuple[str, ...]) -> Trained:
    """The run that is meant. Paths are made absolute first: plugins' code may change the working folder."""
    from genbench.data.cache import fix_folders
    from genbench.runner.trained import Trained

    fix_folders()
    trained = Trained.find(run, results, plugins)
    return replace(trained, folder=trained.folder.absolute())


def use(trained: Trained, function: str, *arguments: Any, returns: Any = None) -> Any:
    """The result of `genbench.runner.use`'s `function` for a run, from a worker process."""
    from genbench.runner.workers import PLANNING, Workers

    return Workers(PLANNING).call(f"genbench.runner.use:{function}", trained, *arguments, returns=returns)


def _runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from genbench.results.finding import names_of_runs
    from genbench.results.store import Store

    store = Store(context.params.get("results") or RESULTS)
    records = store.read_all()[0] if store.runs.is_dir() else []
    usable = [record for record in records if "checkpoint" in record.artifacts]
    return [CompletionItem(name) for name in names_of_runs(usable) if name.startswith(incomplete)]

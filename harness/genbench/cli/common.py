"""What several commands share: options, the console, lists as tables or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from genbench.cli.complete import names_of, one_of, plugins, statuses

if TYPE_CHECKING:
    from rich.console import Console

    from genbench.results.store import Skipped

F = TypeVar("F", bound=Callable[..., Any])
#: Rows of a list above which its columns are not fitted to the terminal: that takes seconds.
MANY = 500
#: A list of names that are no longer than this is never wrapped.
NAME_WIDTH = 48


def plugin_option(function: F) -> F:
    """`-p`: load a local plugin file, or block a plugin."""
    return click.option(
        "-p",
        "plugins",
        multiple=True,
        metavar="FILE.py|no:NAME",
        is_eager=True,
        shell_complete=plugins,
        help="Load a local plugin file, or block a plugin. May be given several times.",
    )(function)


def json_option(function: F) -> F:
    """`--json`: print JSON in place of a table."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(function)


def _complete_suite(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the names of shipped suites, and files."""
    from genbench.plan.suite import named_suites

    named = [CompletionItem(name) for name in named_suites() if name.startswith(incomplete)]
    return [*named, CompletionItem(incomplete, type="file")]


def suite_options(function: F) -> F:
    """The options of `run` and `plan`, which are the keys of a suite file."""
    options = [
        click.argument("suite", required=False, shell_complete=_complete_suite),
        click.option(
            "-m",
            "--models",
            metavar="REFS",
            shell_complete=names_of("models"),
            help="Models, e.g. vae,realnvp or 'vae[latent_dim=2|8]'.",
        ),
        click.option(
            "-d",
            "--datasets",
            metavar="REFS",
            shell_complete=names_of("datasets"),
            help="Datasets, e.g. digits,'mnist[binarize=dynamic]','folder[path=\"a,b\"]' (quotes around what holds "
            "any of , | [ ]). [default: digits]",
        ),
        click.option(
            "-b", "--budget", metavar="BUDGET", help="Training budget of each run, e.g. 60s,4GiB. [default: 30s]"
        ),
        click.option("--seeds", metavar="N|LIST", help="3 is three seeds; 0,7 are these two. [default: 1]"),
        click.option(
            "--metrics",
            metavar="REFS",
            shell_complete=names_of("metrics"),
            help="Metrics in place of the default ones, e.g. likelihood,'fid[extractor=inception]'; "
            "default,ais adds one to them.",
        ),
        click.option(
            "--device",
            metavar="DEVICE",
            shell_complete=one_of(lambda: ("auto", "cpu", "cuda")),
            help="auto, cpu, cuda (all GPUs, one for each run) or cuda:N. [default: auto]",
        ),
        click.option("--precision", type=click.Choice(["fp32", "tf32", "bf16"]), help="Arithmetic. [default: fp32]"),
        click.option(
            "--compile",
            is_flag=True,
            default=None,
            help="Compile training steps (as CUDA graphs on a GPU), off the clock.",
        ),
        click.option(
            "--select",
            type=click.Choice(["best", "last"]),
            help="Score the weights of the best validation objective, or the last. [default: best]",
        ),
        click.option("-o", "--out", type=click.Path(path_type=Path), help="Output folder. [default: results]"),
        click.option("--force", is_flag=True, help="Redo finished runs too, from the start."),
        click.option(
            "--retry",
            metavar="STATUS",
            shell_complete=one_of(statuses),
            help="Redo runs that ended badly: failed for all of them, none, or one status, e.g. timeout; without "
            "models, those in the output folder. [default: failed]",
        ),
        click.option(
            "-j", "--jobs", type=click.IntRange(1), help="Runs at a time. [default: one on each GPU, or one on the CPU]"
        ),
        plugin_option,
    ]
    for option in reversed(options):
        function = option(function)
    return function


def console(**options: Any) -> Console:
    """A rich console on standard output; as wide as its text where that is no terminal."""
    from rich.console import Console

    made = Console(highlight=False, **options)
    if not made.is_terminal:
        made = Console(highlight=False, width=200, **options)
    return made


def warn_of_skipped(skipped: Iterable[Skipped]) -> None:
    """Name the records that could not be read."""
    from genbench.report.protocols import one_line

    for bad in skipped:
        click.echo(one_line(f"genbench: skipped {bad.path}: {bad.reason}"), err=True)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=1, default=str))


def print_list(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows as a table, each cell in one line of plain text, wrapped to the terminal unless there are many."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    from genbench.report.protocols import one_line

    cells = [[one_line(cell) for cell in row] for row in rows]
    if len(cells) > MANY:
        lines = [columns, *cells]
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        click.echo(title)
        for line in lines:
            padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)]
            click.echo("   ".join(padded).rstrip())
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for place, column in enumerate(columns):
        longest = max((len(row[place]) for row in cells), default=0)
        table.add_column(column, no_wrap=place == 0 and longest <= NAME_WIDTH, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console().print(table)

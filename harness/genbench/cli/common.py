"""What several commands share: options, the console, lists as tables or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from rich.console import Console

    from genbench.results.store import Skipped

F = TypeVar("F", bound=Callable[..., Any])


def plugin_option(function: F) -> F:
    """`-p`: load a local plugin file, or block a plugin."""
    return click.option(
        "-p",
        "plugins",
        multiple=True,
        metavar="FILE.py|no:NAME",
        help="Load a local plugin file, or block a plugin. May be given several times.",
    )(function)


def json_option(function: F) -> F:
    """`--json`: print JSON in place of a table."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(function)


def names_of(what: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completes the last of a comma-separated list of names of models, datasets, metrics or self-tests."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from genbench.plugins.catalogue import Catalogue

        offers = getattr(Catalogue.find(), what)
        before, comma, last = incomplete.rpartition(",")
        return [
            CompletionItem(before + comma + name, help=offer.entry.summary)
            for name, offer in offers.items()
            if name.startswith(last)
        ]

    return complete


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
    """Print rows as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0])
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)

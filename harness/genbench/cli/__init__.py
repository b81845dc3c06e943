"""The program: one file per command, imported when it is called for."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click

from genbench.cli.output import safe_output
from genbench.errors import GenbenchError, unknown

#: The commands in the order of a user's way through them, each with the line that `--help` shows.
COMMANDS = {
    "run": "Train models under a budget, measure and compare them.",
    "plan": "Print what `run` would do, and run nothing.",
    "measure": "Measure finished runs again, from their checkpoints.",
    "table": "Print the comparison tables of an output folder.",
    "compare": "Rank the models of an output folder in one column, with intervals and paired differences.",
    "failures": "List what failed in an output folder, and why.",
    "report": "Write the HTML report of an output folder.",
    "export": "Write all numbers of an output folder to a Parquet, CSV or JSON file.",
    "merge": "Put the runs of several output folders into one.",
    "gallery": "Make all the pictures of a run from its checkpoint.",
    "sample": "Draw samples from a trained model.",
    "reconstruct": "Show what a trained model makes of image files.",
    "models": "List the models.",
    "datasets": "List the datasets.",
    "metrics": "List the metrics.",
    "plugins": "List the plugins that were found, with what is wrong with broken ones.",
    "selftest": "Prove what the estimators say against known answers.",
    "show": "Print all about a model, a dataset or a metric: every option with its meaning.",
    "completion": "Print the shell code that completes commands and names.",
}
INTERRUPTED = 130


class Commands(click.Group):
    """A group whose commands are imported when they are called for, so that `--help` is instant."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"genbench.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise unknown("command", args[0], COMMANDS)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="genbench", message="genbench %(version)s")
def cli() -> None:
    """Compare generative models: one protocol, one compute budget, every number with its kind and its error.

    \b
    Examples:
      genbench run --models vae,vqvae,realnvp
      genbench run --models 'vae[latent_dim=2|8|16]' --datasets mnist --budget 5min --seeds 3
      genbench table results --sort fid
      genbench show vae
    """


def main(arguments: list[str] | None = None) -> None:
    """The console script: users' errors are one line and an exit code, bugs keep their traceback.

    What can't be printed is dropped. Where somebody then lacks something, as on a full disk, the exit code of a command
    that has none of its own is 1.
    """
    with safe_output() as output, _warnings_on_one_line():
        code = _code(arguments)
        if output is not None:
            output.flush()
            if code is None and output.lost is not None:
                code = complain(f"can't write to standard output: {output.lost}", 1)
    sys.exit(code or 0)


@contextmanager
def _warnings_on_one_line() -> Iterator[None]:
    """Print warnings as what they are to a user, without the line of code that gave them."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"genbench: warning: {_one_line(str(message))}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _code(arguments: list[str] | None) -> int | None:
    """The exit code of a command, None of one that has done what it was asked to and has no code of its own."""
    try:
        code = cli.main(arguments, prog_name="genbench", standalone_mode=False)
    except GenbenchError as error:
        return complain(str(error), error.exit_code)
    except click.ClickException as error:
        return complain(" ".join(error.format_message().split()), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return complain("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else None


def complain(message: str, code: int) -> int:
    """Print an error on one line of standard error; returns the exit code."""
    click.echo(f"genbench: {_one_line(message)}", err=True)
    return code


def _one_line(text: str) -> str:
    from genbench.report.protocols import one_line  # late: `--help` needs none of it

    return one_line(text)

"""`genbench completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the code that makes SHELL complete genbench's commands, options, models, datasets and metrics.

    \b
    Examples:
      eval "$(genbench completion bash)"                        # in ~/.bashrc
      genbench completion fish > ~/.config/fish/completions/genbench.fish
    """
    from genbench.cli import cli

    completion = get_completion_class(shell)
    assert completion is not None  # click has all three
    click.echo(completion(cli, {}, "genbench", "_GENBENCH_COMPLETE").source())

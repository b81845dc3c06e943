"""`genbench gallery`."""

from __future__ import annotations

from pathlib import Path

import click

from genbench.cli.common import json_option, print_json
from genbench.cli.trained import find, run_options, use


@click.command("gallery")
@run_options
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the pictures. [default: the run's own, where the report finds them]",
)
@json_option
def command(run: str, results: Path, plugins: tuple[str, ...], to: Path | None, as_json: bool) -> int:
    """Make all the pictures of RUN from its checkpoint and print their paths.

    RUN is a run's folder, the beginning of its key, or its model's label where only one run has it. Which pictures
    there are depends on what the model can do: samples, reconstructions, denoised images (rows.npz), the latent
    manifold, interpolations, traversals of code dimensions, attribute arithmetic. A picture that fails is named; the
    exit code is then 1.

    \b
    Examples:
      genbench gallery vae
      genbench gallery 592e98 --results sweep --to pictures
      genbench gallery results/runs/592e98dbd1b30e6c --json
    """
    trained = find(run, results, plugins)
    paths, failed = use(trained, "gallery", to, returns=tuple[list[Path], dict[str, str]])
    if as_json:
        print_json({"run": trained.record.key, "pictures": paths, "failed": failed})
    else:
        for path in paths:
            click.echo(path)
        for name, reason in failed.items():
            click.echo(f"genbench: no {name}: {reason}", err=True)
    return 1 if failed else 0

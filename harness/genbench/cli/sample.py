"""`genbench sample`."""

from __future__ import annotations

from pathlib import Path

import click

from genbench.cli.common import json_option, print_json
from genbench.cli.trained import find, picture_option, picture_path, run_options, use


@click.command("sample")
@run_options
@click.option("--n", type=click.IntRange(min=1), default=64, show_default=True, help="How many samples.")
@click.option("--label", type=click.IntRange(min=0), help="Their class, of a model that samples by label.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random numbers.")
@picture_option
@json_option
def command(
    run: str,
    results: Path,
    plugins: tuple[str, ...],
    n: int,
    label: int | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Draw samples from the trained model of RUN and save them as one picture.

    RUN is a run's folder, the beginning of its key, or its model's label where only one run has it. Images make a grid,
    points in the plane a histogram.

    \b
    Examples:
      genbench sample vae
      genbench sample vae --n 16 --out grid.png
      genbench sample cvae --label 3 --seed 1 --out threes.png
    """
    trained = find(run, results, plugins)
    out = out or picture_path("samples", trained)
    use(trained, "sample", n, label, seed, out)
    if as_json:
        print_json({"run": trained.record.key, "n": n, "label": label, "seed": seed, "picture": out})
    else:
        click.echo(out)

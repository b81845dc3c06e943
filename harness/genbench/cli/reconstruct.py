"""`genbench reconstruct`."""

from __future__ import annotations

from pathlib import Path

import click

from genbench.cli.common import json_option, print_json
from genbench.cli.trained import find, picture_option, picture_path, run_options, use


@click.command("reconstruct")
@run_options
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path))
@picture_option
@json_option
def command(
    run: str, results: Path, plugins: tuple[str, ...], images: tuple[Path, ...], out: Path | None, as_json: bool
) -> None:
    """Save the image files, as the trained model of RUN sees them, above what it makes of them.

    RUN is a run's folder, the beginning of its key, or its model's label where only one run has it. Images are brought
    to the data's size, colours and levels; what was done to each is printed.

    \b
    Examples:
      genbench reconstruct ae mine.png
      genbench reconstruct 592e98 --results sweep *.jpg --out rows.png
    """
    trained = find(run, results, plugins)
    out = out or picture_path("reconstructions", trained)
    steps = use(trained, "reconstructions", list(images), out, returns=list[str])
    if as_json:
        done = [{"image": image, "done": step} for image, step in zip(images, steps, strict=True)]
        print_json({"run": trained.record.key, "images": done, "picture": out})
        return
    for image, step in zip(images, steps, strict=True):
        click.echo(f"{image}: {step}")
    click.echo(out)

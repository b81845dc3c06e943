"""`genbench datasets`."""

from __future__ import annotations

import click

from genbench.cli.common import json_option, plugin_option


@click.command("datasets")
@plugin_option
@json_option
def command(plugins: tuple[str, ...], as_json: bool) -> None:
    """List the datasets that plugins offer, and where each comes from.

    \b
    Examples:
      genbench datasets
      genbench datasets --json
      genbench datasets -p my_dataset.py
    """
    from genbench.cli.listing import print_offers

    print_offers("datasets", plugins, as_json)

"""`genbench models`."""

from __future__ import annotations

import click

from genbench.cli.common import json_option, plugin_option


@click.command("models")
@plugin_option
@json_option
def command(plugins: tuple[str, ...], as_json: bool) -> None:
    """List the models that plugins offer, and where each comes from.

    \b
    Examples:
      genbench models
      genbench models --json
      genbench models -p my_model.py
    """
    from genbench.cli.listing import print_offers

    print_offers("models", plugins, as_json)

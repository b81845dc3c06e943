"""`genbench metrics`."""

from __future__ import annotations

import click

from genbench.cli.common import json_option, plugin_option


@click.command("metrics")
@plugin_option
@json_option
def command(plugins: tuple[str, ...], as_json: bool) -> None:
    """List the metrics that plugins offer, and where each comes from.

    \b
    Examples:
      genbench metrics
      genbench metrics --json
      genbench metrics -p my_metric.py
    """
    from genbench.cli.listing import print_offers

    print_offers("metrics", plugins, as_json)

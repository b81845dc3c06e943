"""`genbench plugins`."""

from __future__ import annotations

import click

from genbench.cli.common import json_option, plugin_option, print_json, print_list


@click.command("plugins")
@plugin_option
@json_option
def command(plugins: tuple[str, ...], as_json: bool) -> None:
    """List the plugins that were found: active, broken (with the reason) or blocked.

    \b
    Examples:
      genbench plugins
      genbench plugins -p my_model.py -p no:gan
    """
    from genbench.plugins.discovery import discover

    found = discover(plugins).plugins
    if as_json:
        fields = ("name", "source", "version", "status", "reason")
        print_json(
            [{f: getattr(p, f) for f in fields} | {"offers": [entry.name for entry in p.entries]} for p in found]
        )
        return
    print_list(
        f"{len(found)} plugins",
        ["plugin", "version", "status", "offers, or what is wrong", "from"],
        [[p.name, p.version, p.status, p.reason or ", ".join(e.name for e in p.entries), p.source] for p in found],
    )

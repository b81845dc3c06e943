"""`genbench show`."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from genbench.cli.common import console, json_option, plugin_option, print_json, print_list
from genbench.cli.complete import names_of


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    kinds = ("models", "datasets", "metrics")
    return [item for what in kinds for item in names_of(what)(context, parameter, incomplete)]


@click.command("show")
@click.argument("name", shell_complete=_complete)
@plugin_option
@json_option
def command(name: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """Print all about the model, dataset or metric NAME: every option with type, default, bounds and meaning.

    \b
    Examples:
      genbench show vae
      genbench show mnist
      genbench show fid --json
    """
    from genbench.errors import unknown
    from genbench.plugins.catalogue import Catalogue
    from genbench.runner.workers import PLANNING, Workers

    catalogue = Catalogue.find(plugins)
    kinds = catalogue.kinds
    names = {kind: {*offers, *(offer.entry.name for offer in offers.values())} for kind, offers in kinds.items()}
    what = next((kind for kind in kinds if name.rpartition(":")[2] in names[kind]), None)
    if what is None:
        raise unknown("model, dataset or metric", name, [n for offers in kinds.values() for n in offers])
    offer = catalogue.get(what, name)
    found = Workers(PLANNING).call("genbench.plan.describe:describe", what, offer.entry.target, catalogue.files)
    head = {
        "name": name,
        "kind": what,
        "summary": offer.entry.summary,
        "reference": offer.entry.reference,
        "from": f"{offer.plugin.source} {offer.plugin.version}",
        "target": _readable(offer.entry.target),
    }
    if as_json:
        print_json(head | found)
    else:
        _print(head, found)


def _print(head: dict[str, Any], found: dict[str, Any]) -> None:
    out = console()
    out.print(f"{head['name']} ({head['kind']}): {head['summary']}", markup=False, style="bold")
    for key in ("reference", "from", "target"):
        if head[key]:
            out.print(f"{key}: {head[key]}", markup=False)
    for key in ("capabilities", "data", "requires", "measures"):
        if found.get(key):
            out.print(f"{key}: {', '.join(found[key])}", markup=False)
    out.print(f"\n{found['description']}\n", markup=False)
    if not found["options"]:
        out.print("no options")
        return
    columns = ("name", "type", "default", "bounds", "meaning")
    rows = [[_text(option[column]) for column in columns] for option in found["options"]]
    print_list("options", ["option", *columns[1:]], rows)


def _readable(target: str) -> str:
    """The target as a plugin's author writes it, without the hash in the name of a local file's module."""
    module, _, name = target.partition(":")
    return f"{module.partition('@')[0]}:{name}"


def _text(value: Any) -> str:
    """As an option is written on the command line."""
    return {"None": "none", "True": "true", "False": "false"}.get(repr(value), str(value))

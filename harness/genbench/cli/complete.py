"""Completions for the shell: names, references with their options in brackets, columns. Nothing here imports torch, and
whatever goes wrong completes nothing."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from genbench.errors import GenbenchError

if TYPE_CHECKING:
    from genbench.plugins.catalogue import Catalogue, Offer

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
#: Records that are asked for their columns; a folder may have tens of thousands.
ASKED = 100
#: Parts of an option's type that stand for values which nobody could list.
TYPES = ("int", "float", "text", "path", "list of ")


def _quietly(complete: Completer) -> Completer:
    @functools.wraps(complete)
    def completing(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return complete(context, parameter, incomplete)
        except (GenbenchError, OSError, RuntimeError):  # a message would land in the middle of a command line
            return []

    return completing


def names_of(what: str) -> Completer:
    """Completes the last of a comma-separated list of references to models, datasets or metrics, or of the names of
    self-tests or executors: its name, an option's name in brackets, or an option's value if there are few."""

    @_quietly
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from genbench.plugins.catalogue import Catalogue

        catalogue = Catalogue.find(context.params.get("plugins") or ())
        offers: dict[str, Offer[Any]] = getattr(catalogue, what)
        start = _start_of_last(incomplete)
        before, last = incomplete[:start], incomplete[start:]
        name, bracket, inside = last.partition("[")
        if bracket and not inside.endswith("]") and name in offers:
            options = _options(catalogue, what[:-1], offers[name])
            return [CompletionItem(f"{before}{name}[{text}") for text in _inside_brackets(inside, options)]
        return [
            CompletionItem(before + name, help=offer.entry.summary)
            for name, offer in offers.items()
            if name.startswith(last)
        ]

    return complete


def one_of(find: Callable[[], Iterable[str]], *, many: bool = False) -> Completer:
    """Completes one of the texts that `find` gives, or with `many` the last of a comma-separated list of them."""

    @_quietly
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",") if many else ("", "", incomplete)
        return [CompletionItem(before + comma + text) for text in find() if text.startswith(last)]

    return complete


@_quietly
def columns(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the last of a comma-separated list of columns: those of the output folder, or all built-in ones where
    it has no records; a `-` before a column stays."""
    from genbench.report.columns import ORDER, in_order
    from genbench.results.store import Store, read_records

    store = Store(Path(context.params.get("out") or "results"))
    records = read_records(store.paths()[:ASKED], curves=False)[0] if store.runs.is_dir() else []
    found = in_order(value.name for record in records for value in record.metrics) or ORDER
    before, comma, last = incomplete.rpartition(",")
    sign = "-" if last.startswith("-") else ""
    return [CompletionItem(before + comma + sign + name) for name in found if name.startswith(last.removeprefix("-"))]


@_quietly
def plugins(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes a file, or after `no:` the name of a plugin."""
    from genbench.plugins.discovery import discover

    if not incomplete.startswith("no:"):
        return [CompletionItem(incomplete, type="file")]
    names = [f"no:{plugin.name}" for plugin in discover().plugins]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def trackers() -> list[str]:
    """The names of the installed trackers."""
    from genbench.plugins.trackers import GROUP

    return sorted(point.name for point in importlib.metadata.entry_points(group=GROUP))


def statuses() -> Iterable[str]:
    """The values of `--retry`."""
    from genbench.runner.campaign import RETRY

    return RETRY


def _start_of_last(text: str) -> int:
    """Where the last reference of a list begins: after its last comma outside of brackets."""
    depth = start = 0
    for position, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            start = position + 1
    return start


def _inside_brackets(inside: str, options: list[dict[str, Any]]) -> list[str]:
    """Completions of the text in brackets so far."""
    before, comma, last = inside.rpartition(",")
    name, equals, value = last.partition("=")
    if not equals:
        given = {part.partition("=")[0].strip() for part in before.split(",")}
        names = [option["name"] for option in options if option["name"] not in given]
        return [f"{before}{comma}{each}=" for each in names if each.startswith(last)]
    chosen, bar, value = value.rpartition("|")
    values = [part for option in options if option["name"] == name for part in option["type"].split(" | ")]
    return [
        f"{before}{comma}{name}={chosen}{bar}{each}"
        for each in values
        if each.startswith(value) and not each.startswith(TYPES)
    ]


def _options(catalogue: Catalogue, what: str, offer: Offer[Any]) -> list[dict[str, Any]]:
    """The options of a model, dataset or metric, as `genbench show` has them.

    Only a worker can tell, which takes seconds; so what it said is kept until the plugin changes.
    """
    kept = _kept(what, offer)
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
        if all(isinstance(option["name"], str) and isinstance(option["type"], str) for option in found):
            return list(found)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    from genbench.results.store import write_atomically
    from genbench.runner.workers import PLANNING, Workers

    said = Workers(PLANNING).call("genbench.plan.describe:describe", what, offer.entry.target, catalogue.files)
    options = [{"name": option["name"], "type": option["type"]} for option in said["options"]]
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, json.dumps(options))
    except OSError:
        pass
    return options


def _kept(what: str, offer: Offer[Any]) -> Path:
    """Where the options are kept: a name that changes with the plugin's version and the file of the target."""
    import platformdirs

    module = offer.entry.target.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
        changed = os.stat(spec.origin).st_mtime_ns if spec and spec.origin else 0  # noqa: PTH116 (it is text)
    except (ImportError, ValueError, OSError):  # of a local file, whose version is a hash of its content
        changed = 0
    about = [what, offer.entry.target, offer.plugin.source, offer.plugin.version, changed]
    name = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    folder = os.environ.get("GENBENCH_CACHE") or platformdirs.user_cache_dir("genbench")
    return Path(folder).expanduser() / "completion" / f"{name}.json"

"""Finding plugins: each is loaded under its own guard; one that fails is listed as broken and stops nothing else."""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import os
import re
import reprlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pluggy

from genbench.contained import contained
from genbench.errors import UsageError, unknown
from genbench.plain import error_text
from genbench.plugins import hookspecs
from genbench.plugins.entries import DatasetEntry, Entry, ExecutorEntry, MetricEntry, ModelEntry, SelftestEntry
from genbench.plugins.sources import file_hash

GROUP = "genbench"
API_VERSION = 1
#: Names of plugins to block, separated by commas; the same as `-p no:NAME` for each.
BLOCK_VARIABLE = "GENBENCH_BLOCK"
#: The hooks that yield entries, each with the kind of entry.
ENTRY_HOOKS: dict[str, type[Entry]] = {
    "genbench_models": ModelEntry,
    "genbench_datasets": DatasetEntry,
    "genbench_metrics": MetricEntry,
    "genbench_selftests": SelftestEntry,
    "genbench_executors": ExecutorEntry,
}
LIFECYCLE_HOOKS = ("genbench_run_start", "genbench_progress", "genbench_run_end")
#: The family of the rows that calibrate a table, which no plugin's model may have.
RESERVED_FAMILY = "reference"
#: What no name may have in it, since it means something in a reference.
_FORBIDDEN = re.compile(r"[\s\[\]=|,:'\"]")
#: Characters of a name, and entries of a hook, at most.
LONGEST, MOST = 100, 10_000


class BrokenFile(Exception):
    """A local plugin file that could not be loaded; the message is the whole reason."""


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found, loaded or not.

    Attributes:
        name: the entry point's name, or the file's.
        source: its distribution, or the file it was loaded from.
        version: the distribution's version; of a file, the hash of its content and of the local sources it imports.
        status: `"active"`, `"broken"` (see `reason`) or `"blocked"` (by the user).
        entries: the models, datasets, metrics, proofs and executors that it offers.
    """

    name: str
    source: str
    version: str
    status: Literal["active", "broken", "blocked"] = "active"
    reason: str = ""
    entries: tuple[Entry, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Discovery:
    """What was found: pluggy's manager with the active plugins registered, the list of all, and the local files."""

    manager: pluggy.PluginManager
    plugins: list[Plugin]
    files: list[Path]


def discover(options: Sequence[str] = ()) -> Discovery:
    """Find every plugin: the built-in metrics and executor, entry points of the group `genbench`, then local files.

    Args:
        options: the values of `-p`, each a path to a Python file or `no:NAME`.

    Raises:
        UsageError: a file of `options` is missing, or a name to block is not a plugin's.
    """
    blocked, files = _parse(options)
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    load = _Loader(manager, blocked)
    built_in = {"metrics": _builtin_metrics, "executors": _builtin_executors}
    own = importlib.metadata.version("genbench")
    plugins = [load(name, "genbench", own, plugin) for name, plugin in built_in.items()]
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name):
        source, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "unknown")
        plugins.append(load(point.name, source, version, point.load))
    for path in files:
        name = _free_name(path, [plugin.name for plugin in plugins])
        plugins.append(load(name, str(path), file_hash(path), partial(_local, path)))
    names = {plugin.name for plugin in plugins}
    for name in sorted(blocked - names):
        raise unknown("plugin to block", name, names)
    return Discovery(manager, plugins, files)


def file_version(path: Path) -> str:
    """The hash of a file's content.

    Raises:
        OSError: the file can't be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def entries_of(plugin: Any) -> tuple[Entry, ...]:
    """All entries that a plugin's hooks yield, their texts in one line each.

    Raises:
        TypeError: a hook yields something else, an entry has a field that makes no sense, or a name stands twice.
        Exception: whatever the plugin's own code raises.
    """
    found: list[Entry] = []
    for hook, kind in ENTRY_HOOKS.items():
        implementation = getattr(plugin, hook, None)
        if implementation is None:
            continue
        names = set()
        for entry in _yielded(hook, implementation):
            if not isinstance(entry, kind):
                raise TypeError(f"{hook} yields {reprlib.repr(entry)}, not a {kind.__name__}")
            _check_entry(hook, entry)
            if entry.name in names:
                raise TypeError(f"{hook} yields two entries of the name '{entry.name}'")
            names.add(entry.name)
            texts: dict[str, Any] = {
                f.name: _plain(getattr(entry, f.name)) for f in fields(entry) if f.name != "default"
            }
            found.append(replace(entry, **texts))
    return tuple(found)


def _yielded(hook: str, implementation: Callable[[], Any]) -> Iterator[Any]:
    entries = implementation()
    if not hasattr(entries, "__iter__"):
        raise TypeError(f"{hook} returns {reprlib.repr(entries)}, not entries")
    for count, entry in enumerate(entries):
        if count == MOST:
            raise TypeError(f"{hook} yields more than {MOST} entries")
        yield entry


def _check_entry(hook: str, entry: Entry) -> None:
    """Refuse fields of a wrong type, and names that nobody could write.

    Raises:
        TypeError: with the hook, the entry and the field.
    """
    for each in fields(entry):
        value, expected = getattr(entry, each.name), bool if each.name == "default" else str
        if not isinstance(value, expected):
            what = "true or false" if expected is bool else "text"
            raise TypeError(f"{hook}: {each.name} of {reprlib.repr(entry.name)} is {reprlib.repr(value)}, not {what}")
    name = entry.name
    if not name or name.startswith("-") or _FORBIDDEN.search(name) or not name.isprintable() or len(name) > LONGEST:
        raise TypeError(
            f"{hook}: the name {reprlib.repr(name)} can't be used: up to {LONGEST} characters, no spaces, none of "
            "[ ] = | , : and quotes, and no - at the beginning"
        )
    module, _, target = entry.target.partition(":")
    if not (module.strip() and target.strip()) or ":" in target:
        form = "module:function" if isinstance(entry, SelftestEntry) else "module:Class"
        raise TypeError(f"{hook}: the target of '{name}' is '{entry.target}', not '{form}'")
    if isinstance(entry, ModelEntry) and _plain(entry.family) in ("", RESERVED_FAMILY):
        raise TypeError(f"{hook}: the family of '{name}' is '{entry.family}', which no model can have")


def _plain(text: str) -> str:
    """The text in one line, without what steers a terminal."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _free_name(path: Path, taken: Collection[str]) -> str:
    """The name of a local file as a plugin: its own, or with its folder's where another plugin is called so."""
    stem, folder = (_FORBIDDEN.sub("-", part) for part in (path.stem, path.parent.name))
    numbered = (f"{folder}/{stem}-{count}" for count in itertools.count(2))
    return next(name for name in itertools.chain((stem, f"{folder}/{stem}"), numbered) if name not in taken)


def check(plugin: Any) -> None:
    """Refuse a plugin of another API version, and misspelt hooks.

    Raises:
        TypeError: with the reason.
    """
    written_for = getattr(plugin, "GENBENCH_API", None)
    if written_for is None:
        raise TypeError(f"it does not say which plugin API it was written for: add GENBENCH_API = {API_VERSION}")
    if written_for != API_VERSION:
        raise TypeError(f"it was written for plugin API {written_for}, this genbench has {API_VERSION}")
    known = {name for name in vars(hookspecs) if name.startswith("genbench_")}
    for name in vars(plugin):
        if not name.startswith("genbench_") or not callable(getattr(plugin, name)):
            continue
        if name not in known:
            raise TypeError(str(unknown("hook", name, known)))
        options = getattr(getattr(plugin, name), f"{GROUP}_impl", {})
        if options.get("wrapper") or options.get("hookwrapper"):
            raise TypeError(f"{name} is a hook wrapper, and hooks are called one by one")


class _Loader:
    """Loads plugins one by one into a manager; whatever one raises becomes its reason for being broken."""

    def __init__(self, manager: pluggy.PluginManager, blocked: set[str]) -> None:
        self.manager = manager
        self.blocked = blocked

    def __call__(self, name: str, source: str, version: str, load: Callable[[], Any]) -> Plugin:
        if name in self.blocked:
            return Plugin(name, source, version, "blocked", "by the user")
        if self.manager.has_plugin(name):
            return Plugin(name, source, version, "broken", f"there is already a plugin named '{name}'")
        module: Any = None
        try:
            with contained():
                module = load()
                check(module)
                self.manager.register(module, name)
                self.manager.check_pending()
                entries = entries_of(module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even exit while it is imported
            if module is not None and self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            reason = str(error) if isinstance(error, BrokenFile) else error_text(error)
            return Plugin(name, source, version, "broken", reason)
        return Plugin(name, source, version, entries=entries)


def _parse(options: Sequence[str]) -> tuple[set[str], list[Path]]:
    blocked = {name.strip() for name in os.environ.get(BLOCK_VARIABLE, "").split(",") if name.strip()}
    files = []
    for option in options:
        if option.startswith("no:"):
            blocked.add(option.removeprefix("no:"))
            continue
        path = Path(option).resolve()
        if path.suffix != ".py" or not path.is_file():
            what = "a folder" if path.is_dir() else "no plain file" if path.exists() else ""
            found = f"{what}, not a Python file" if what and path.suffix == ".py" else "no such Python file"
            raise UsageError(f"-p {option}: {found} (give path/to/file.py, or no:NAME to block a plugin)")
        if path not in files:
            files.append(path)
    return blocked, files


def _builtin_metrics() -> Any:
    import genbench.metrics.plugin

    return genbench.metrics.plugin


def _builtin_executors() -> Any:
    import genbench.runner.plugin

    return genbench.runner.plugin


def _local(path: Path) -> Any:
    from genbench.plugins.local import stand_in

    return stand_in(path)

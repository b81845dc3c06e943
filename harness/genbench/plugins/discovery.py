"""Finding plugins: each is loaded under its own guard; one that fails is listed as broken and stops nothing else."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pluggy

from genbench.contained import contained
from genbench.errors import UsageError, unknown
from genbench.plugins import hookspecs
from genbench.plugins.entries import DatasetEntry, Entry, ExecutorEntry, MetricEntry, ModelEntry, SelftestEntry

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


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found, loaded or not.

    Attributes:
        name: the entry point's name, or the file's.
        source: its distribution, or the file it was loaded from.
        version: the distribution's version; of a file, the hash of its content.
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
    plugins += [load(path.stem, str(path), file_version(path), partial(_local, path)) for path in files]
    names = {plugin.name for plugin in plugins}
    for name in sorted(blocked - names):
        raise unknown("plugin to block", name, names)
    return Discovery(manager, plugins, files)


def file_version(path: Path) -> str:
    """What stands for the version of a local plugin file: the hash of its content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def entries_of(plugin: Any) -> tuple[Entry, ...]:
    """All entries that a plugin's hooks yield.

    Raises:
        TypeError: a hook yields something else.
        Exception: whatever the plugin's own code raises.
    """
    found: list[Entry] = []
    for hook, kind in ENTRY_HOOKS.items():
        implementation = getattr(plugin, hook, None)
        if implementation is None:
            continue
        for entry in implementation():
            if not isinstance(entry, kind):
                raise TypeError(f"{hook} yields {entry!r}, not a {kind.__name__}")
            if entry.target.count(":") != 1:
                form = "module:function" if isinstance(entry, SelftestEntry) else "module:Class"
                raise TypeError(f"{hook}: the target of '{entry.name}' is '{entry.target}', not '{form}'")
            found.append(entry)
    return tuple(found)


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
        if name.startswith("genbench_") and name not in known and callable(getattr(plugin, name)):
            raise TypeError(str(unknown("hook", name, known)))
        options = getattr(getattr(plugin, name), f"{GROUP}_impl", {})
        if options.get("wrapper") or options.get("hookwrapper"):
            raise TypeError(f"{name} is a hook wrapper, and hooks are called one by one")


def one_line(error: BaseException) -> str:
    """An exception as `Type: message` on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


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
            return Plugin(name, source, version, "broken", one_line(error))
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
            raise UsageError(f"-p {option}: no such Python file (give path/to/file.py, or no:NAME to block a plugin)")
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

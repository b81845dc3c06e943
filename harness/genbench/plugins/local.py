"""Local plugin files (`-p path/to/file.py`).

A file that defines its model beside its hook imports torch, which the parent process must not. So the file is loaded by
a process of its own (`python -m genbench.plugins.local FILE`), which lists what it offers as JSON; the parent registers
a stand-in that offers the same. Only a file with lifecycle hooks is loaded by the parent itself.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from genbench import hookimpl
from genbench.plugins.discovery import API_VERSION, ENTRY_HOOKS, LIFECYCLE_HOOKS, check, entries_of, one_line
from genbench.plugins.entries import DatasetEntry, Entry, ExecutorEntry, MetricEntry, ModelEntry, SelftestEntry


class BrokenFile(Exception):
    """A local plugin file that could not be loaded."""


class StandIn:
    """Offers what a local plugin file offers, without having loaded it."""

    GENBENCH_API = API_VERSION

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries

    @hookimpl
    def genbench_models(self) -> list[ModelEntry]:
        """The file's models."""
        return [entry for entry in self.entries if isinstance(entry, ModelEntry)]

    @hookimpl
    def genbench_datasets(self) -> list[DatasetEntry]:
        """The file's datasets."""
        return [entry for entry in self.entries if isinstance(entry, DatasetEntry)]

    @hookimpl
    def genbench_metrics(self) -> list[MetricEntry]:
        """The file's metrics."""
        return [entry for entry in self.entries if isinstance(entry, MetricEntry)]

    @hookimpl
    def genbench_selftests(self) -> list[SelftestEntry]:
        """The file's proofs."""
        return [entry for entry in self.entries if isinstance(entry, SelftestEntry)]

    @hookimpl
    def genbench_executors(self) -> list[ExecutorEntry]:
        """The file's executors."""
        return [entry for entry in self.entries if isinstance(entry, ExecutorEntry)]


def stand_in(path: Path) -> Any:
    """What the parent registers for this file.

    Raises:
        BrokenFile: it could not be loaded; the message says why.
    """
    listing = subprocess.run(  # noqa: S603  # our own interpreter and module; the file is the user's to run
        [sys.executable, "-m", "genbench.plugins.local", str(path)], capture_output=True, text=True, check=False
    )
    try:
        answer = json.loads(listing.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise BrokenFile(f"loading it ended with exit code {listing.returncode}") from None
    if "error" in answer:
        raise BrokenFile(answer["error"])
    if answer["lifecycle"]:
        return import_file(path)
    kinds = {kind.__name__: kind for kind in ENTRY_HOOKS.values()}
    return StandIn([kinds[kind](**fields) for kind, fields in answer["entries"]])


def import_file(path: Path) -> Any:
    """Import a local plugin file as the module of its name, so that targets `"name:Class"` are found in it.

    Raises:
        ImportError: its name is that of another module.
        Exception: whatever the file raises.
    """
    name = path.stem
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    found = importlib.util.find_spec(name)
    if found is not None and found.origin != str(path):
        raise ImportError(f"there is another module named '{name}': rename the file")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a path that ends in .py always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _list(path: Path) -> dict[str, Any]:
    try:
        module = import_file(path)
        check(module)
        entries = [(type(entry).__name__, dataclasses.asdict(entry)) for entry in entries_of(module)]
    except (Exception, SystemExit) as error:
        return {"error": one_line(error)}
    return {"entries": entries, "lifecycle": any(hasattr(module, hook) for hook in LIFECYCLE_HOOKS)}


if __name__ == "__main__":
    print(json.dumps(_list(Path(sys.argv[1]))))

"""From the name that `--executor` gives to an executor."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.plugins.catalogue import Catalogue, import_target
from genbench.plugins.local import import_file
from genbench.runner.executor import Executor


def make_executor(catalogue: Catalogue, name: str, address: str | None) -> Executor:
    """The executor with this name, imported only now.

    Raises:
        UsageError: there is none of that name, what it needs is not installed, or it has no use for the address.
        GenbenchError: it can't be loaded, or what it needs can't be reached.
    """
    offer = catalogue.get("executor", name)
    source = Path(offer.plugin.source)
    if source in catalogue.files:
        import_file(source)
    try:
        cls = import_target(offer.entry.target, Executor)
    except GenbenchError as error:
        if isinstance(error.__cause__, ModuleNotFoundError) and name in _extras(offer.plugin.source):
            raise UsageError(f"--executor {name} needs: pip install '{offer.plugin.source}[{name}]'") from error
        raise
    executor: Executor = cls(address)
    return executor


def _extras(distribution: str) -> list[str]:
    try:
        return importlib.metadata.metadata(distribution).get_all("Provides-Extra", [])
    except importlib.metadata.PackageNotFoundError:
        return []

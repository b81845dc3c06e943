"""The catalogue: every model, dataset, metric, self-test and executor by name, with the plugin that offers it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from genbench.errors import GenbenchError, UsageError, unknown
from genbench.plugins.discovery import Discovery, Plugin, discover, one_line
from genbench.plugins.entries import DatasetEntry, Entry, ExecutorEntry, MetricEntry, ModelEntry, SelftestEntry

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Offer(Generic[E]):
    """An entry with the plugin that offers it."""

    entry: E
    plugin: Plugin


class Catalogue:
    """What active plugins offer, by name.

    Raises:
        UsageError: (on access) two plugins offer the same name; the message names both.
    """

    def __init__(self, discovery: Discovery) -> None:
        self.discovery = discovery

    @classmethod
    def find(cls, options: Sequence[str] = ()) -> Catalogue:
        """The catalogue of all installed plugins, and of the local files among the values of `-p`."""
        return cls(discover(options))

    @property
    def plugins(self) -> list[Plugin]:
        """Every plugin that was found, also those that are broken or blocked."""
        return self.discovery.plugins

    @property
    def files(self) -> list[Path]:
        """The local plugin files, which a run's process has to import first."""
        return self.discovery.files

    @cached_property
    def models(self) -> dict[str, Offer[ModelEntry]]:
        """The models, by name."""
        return self._offers(ModelEntry)

    @cached_property
    def datasets(self) -> dict[str, Offer[DatasetEntry]]:
        """The datasets, by name."""
        return self._offers(DatasetEntry)

    @cached_property
    def metrics(self) -> dict[str, Offer[MetricEntry]]:
        """The metrics, by name, in the order in which they are measured."""
        return self._offers(MetricEntry, ordered=False)

    @cached_property
    def selftests(self) -> dict[str, Offer[SelftestEntry]]:
        """The self-tests, by name, those of the harness first."""
        return self._offers(SelftestEntry, ordered=False)

    @cached_property
    def executors(self) -> dict[str, Offer[ExecutorEntry]]:
        """The executors, by name."""
        return self._offers(ExecutorEntry)

    @property
    def kinds(self) -> dict[str, Mapping[str, Offer[Any]]]:
        """All that have options, by kind: `"model"`, `"dataset"`, `"metric"`."""
        return {"model": self.models, "dataset": self.datasets, "metric": self.metrics}

    def get(self, what: str, name: str) -> Offer[Any]:
        """The `what` (`"model"`, `"dataset"`, `"metric"`, `"selftest"`, `"executor"`) with this name.

        Raises:
            UsageError: there is none; the message has the nearest names, and the broken plugins if there are any.
        """
        offers: dict[str, Offer[Any]] = getattr(self, f"{what}s")
        if name in offers:
            return offers[name]
        error = unknown(what, name, offers)
        broken = [plugin.name for plugin in self.plugins if plugin.status == "broken"]
        if broken:
            raise UsageError(f"{error} (broken plugins: {', '.join(broken)}; see genbench plugins)")
        raise error

    def _offers(self, kind: type[E], ordered: bool = True) -> dict[str, Offer[E]]:
        found: dict[str, Offer[E]] = {}
        for plugin in self.plugins:
            for entry in plugin.entries:
                if not isinstance(entry, kind):
                    continue
                if entry.name in found:
                    other = found[entry.name].plugin
                    raise UsageError(
                        f"two plugins offer '{entry.name}': {other.name} ({other.source} {other.version}) and "
                        f"{plugin.name} ({plugin.source} {plugin.version}); block one with -p no:NAME"
                    )
                found[entry.name] = Offer(entry, plugin)
        return dict(sorted(found.items())) if ordered else found


def import_target(target: str, base: type) -> Any:
    """The class that an entry's `"module:Class"` names.

    Raises:
        GenbenchError: it can't be imported, or is no subclass of `base`.
    """
    module_name, _, class_name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:
        raise GenbenchError(f"can't import {target}: {one_line(error)}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise GenbenchError(f"{target} is no subclass of {base.__module__}.{base.__name__}")
    return found

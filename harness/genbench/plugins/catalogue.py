"""The catalogue: every model, dataset, metric, self-test and executor by name, with the plugin that offers it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from genbench.errors import GenbenchError, UsageError, unknown
from genbench.plain import error_text
from genbench.plugins.discovery import Discovery, Plugin, discover
from genbench.plugins.entries import DatasetEntry, Entry, ExecutorEntry, MetricEntry, ModelEntry, SelftestEntry
from genbench.plugins.sources import package_hash, top_level

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Offer(Generic[E]):
    """An entry with the plugin that offers it."""

    entry: E
    plugin: Plugin


class Catalogue:
    """The offers of active plugins, by name; a name that several of them claim, by `plugin:name`."""

    def __init__(self, discovery: Discovery) -> None:
        self.discovery = discovery
        self._sources: dict[tuple[str, Path | None], str] = {}

    @classmethod
    def find(cls, options: Sequence[str] = ()) -> Catalogue:
        """The catalogue of all installed plugins, and of the local files among the values of `-p`.

        Raises:
            UsageError: a file of `options` is missing or broken, or a name to block is not a plugin's.
        """
        found = cls(discover(options))
        for plugin in found.plugins:
            if plugin.status == "broken" and found._is_local(plugin):
                raise UsageError(f"-p {plugin.source}: {plugin.reason}")
        return found

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

        `plugin:name` says whose is meant.

        Raises:
            UsageError: there is none, and the message has the nearest names, and the broken plugins if there are any;
                or several plugins claim the name.
        """
        offers: dict[str, Offer[Any]] = getattr(self, f"{what}s")
        if name in offers:
            return offers[name]
        plugin, _, short = name.rpartition(":")
        rivals = {full: offer for full, offer in offers.items() if offer.entry.name == short}
        for offer in rivals.values():
            if offer.plugin.name == plugin:
                return offer
        if rivals and not plugin:
            sides = " and ".join(f"{o.plugin.name} ({o.plugin.source} {o.plugin.version})" for o in rivals.values())
            raise UsageError(f"{what} '{name}' is claimed by {sides}: ask for {' or '.join(rivals)}, or rename one")
        error = unknown(what, name, offers)
        broken = [f"{plugin.name}: {plugin.reason}" for plugin in self.plugins if plugin.status == "broken"]
        if broken:
            raise UsageError(f"{error} (broken plugin{'s' if len(broken) > 1 else ''} {'; '.join(broken)})")
        raise error

    def source(self, offer: Offer[Any]) -> str:
        """The hash of the sources that an offer's entry comes from, as they are when it is first asked for."""
        file = Path(offer.plugin.source)
        lies = top_level(offer.entry.target), file.parent if file.suffix == ".py" else None
        if lies not in self._sources:
            self._sources[lies] = package_hash(*lies)
        return self._sources[lies]

    def _is_local(self, plugin: Plugin) -> bool:
        return Path(plugin.source) in self.files

    def _offers(self, kind: type[E], ordered: bool = True) -> dict[str, Offer[E]]:
        claims: dict[str, list[Offer[E]]] = {}
        for plugin in self.plugins:
            for entry in plugin.entries:
                if isinstance(entry, kind):
                    claims.setdefault(entry.name, []).append(Offer(entry, plugin))
        found: dict[str, Offer[E]] = {}
        for name, offers in claims.items():
            found |= {name if len(offers) == 1 else f"{offer.plugin.name}:{name}": offer for offer in offers}
        return dict(sorted(found.items())) if ordered else found


def import_target(target: str, base: type) -> Any:
    """The class that an entry's `"module:Class"` names.

    Raises:
        GenbenchError: it can't be imported, or is no subclass of `base`, or its `Config` is none of `base`'s.
    """
    module_name, _, class_name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (Exception, SystemExit) as error:
        raise GenbenchError(f"can't import {target}: {error_text(error)}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise GenbenchError(f"{target} is no subclass of {base.__module__}.{base.__name__}")
    expected, config = getattr(base, "Config", None), getattr(found, "Config", None)
    if expected is not None and not (isinstance(config, type) and issubclass(config, expected)):
        is_ = config.__name__ if isinstance(config, type) else f"a {type(config).__name__}"
        should_be = f"a subclass of {expected.__module__}.{expected.__name__}"
        raise GenbenchError(f"{target}: its Config is {is_}; it should be {should_be}")
    return found

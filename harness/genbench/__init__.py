"""genbench compares generative models: one protocol, one compute budget, every number with its kind and its error.

Plugin authors import `hookimpl` and the entries from here and the model contract from `genbench.model`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genbench.api import run
    from genbench.plugins.entries import DatasetEntry, ExecutorEntry, MetricEntry, ModelEntry, SelftestEntry
    from genbench.plugins.hookspecs import hookimpl
    from genbench.selftest.base import Check

__all__ = ["Check", "DatasetEntry", "ExecutorEntry", "MetricEntry", "ModelEntry", "SelftestEntry", "hookimpl", "run"]

#: Where each name comes from. They are imported where they are asked for: `genbench --help` does without them.
_HOMES = {
    "run": "genbench.api",
    "hookimpl": "genbench.plugins.hookspecs",
    "Check": "genbench.selftest.base",
    **dict.fromkeys(
        ("DatasetEntry", "ExecutorEntry", "MetricEntry", "ModelEntry", "SelftestEntry"), "genbench.plugins.entries"
    ),
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("genbench")
    raise AttributeError(f"module 'genbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

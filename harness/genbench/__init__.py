"""genbench compares generative models: one protocol, one compute budget, every number with its kind and its error.

Plugin authors import `hookimpl` and the entries from here and the model contract from `genbench.model`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

from genbench.plugins.entries import DatasetEntry, ExecutorEntry, MetricEntry, ModelEntry, SelftestEntry
from genbench.selftest.base import Check

if TYPE_CHECKING:
    from genbench.api import run

#: Marks hook implementations of plugins.
hookimpl = pluggy.HookimplMarker("genbench")


__all__ = ["Check", "DatasetEntry", "ExecutorEntry", "MetricEntry", "ModelEntry", "SelftestEntry", "hookimpl", "run"]


def __getattr__(name: str) -> Any:
    if name == "run":
        from genbench.api import run

        return run
    if name == "__version__":
        from importlib.metadata import version

        return version("genbench")
    raise AttributeError(f"module 'genbench' has no attribute '{name}'")

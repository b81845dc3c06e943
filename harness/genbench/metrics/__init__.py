"""What a metric author subclasses; one module per question beside it.

Names are imported when they are first used: `genbench.metrics.plugin`, which lists what there is, needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genbench.metrics.base import Measurement, Metric, MetricError, NotApplicable, Subject, in_chunks

__all__ = ["Measurement", "Metric", "MetricError", "NotApplicable", "Subject", "in_chunks"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("genbench.metrics.base"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")

"""Runs on a Ray cluster. Ray is imported only where `--executor ray` asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_executors() -> Iterator[genbench.ExecutorEntry]:
    """Ray."""
    yield genbench.ExecutorEntry("ray", "genbench_ray.executor:Ray", summary="a Ray cluster, or Ray on this machine")

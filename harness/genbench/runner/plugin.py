"""The built-in executor, offered through the same hook as anyone else's; torch-free."""

from __future__ import annotations

from collections.abc import Iterator

import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_executors() -> Iterator[genbench.ExecutorEntry]:
    """This machine."""
    yield genbench.ExecutorEntry("local", "genbench.runner.local:Local", summary="processes on this machine")

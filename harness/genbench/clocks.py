"""The clocks that runs are timed by, as they were when genbench was imported: a model that replaces a function of the
module `time` changes the time of no budget and no metric."""

from __future__ import annotations

from time import monotonic, perf_counter, process_time

__all__ = ["monotonic", "perf_counter", "process_time"]

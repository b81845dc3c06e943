"""Trackers: plugins that watch a campaign's runs where the user asks for them by name (`--track`), and not before."""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pluggy

from genbench.contained import contained
from genbench.errors import GenbenchError, UsageError, unknown
from genbench.plain import error_text
from genbench.plugins.discovery import check

GROUP = "genbench.trackers"


class Tracker(Protocol):
    """What an entry point of the group `genbench.trackers` names: a class whose instances are plugins with lifecycle
    hooks."""

    GENBENCH_API: int

    def __init__(self, out: Path) -> None:
        """Made when a campaign begins, with its output folder."""

    def close(self) -> None:
        """The campaign is over or interrupted: runs that have not ended will not."""


def find_trackers(names: str | Sequence[str]) -> dict[str, type[Tracker]]:
    """The trackers with these names, imported.

    Args:
        names: in a list, or separated by commas.

    Raises:
        UsageError: there is none of that name, or what it needs is not installed.
        GenbenchError: it can't be loaded.
    """
    wanted = names.split(",") if isinstance(names, str) else names
    points = {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}
    found = {}
    for name in (name.strip() for name in wanted):
        if name not in points:
            raise unknown("tracker", name, points)
        found[name] = _load(points[name])
    return found


def _load(point: importlib.metadata.EntryPoint) -> type[Tracker]:
    try:
        with contained():
            tracker: type[Tracker] = point.load()
            check(tracker)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a tracker's module may even exit
        extras = point.dist.metadata.get_all("Provides-Extra", []) if point.dist else []
        if isinstance(error, ModuleNotFoundError) and point.dist and point.name in extras:
            needed = f"{point.dist.name}[{point.name}]"
            raise UsageError(f"--track {point.name} needs: pip install '{needed}'") from error
        raise GenbenchError(f"--track {point.name}: {error_text(error)}") from error
    return tracker


@contextmanager
def tracking(manager: pluggy.PluginManager, trackers: Mapping[str, type[Tracker]], out: Path) -> Iterator[None]:
    """While this lasts, the trackers' hooks are called; then they are closed.

    Raises:
        GenbenchError: one of them can't start.
    """
    with ExitStack() as stack:
        for name, kind in trackers.items():
            try:
                with contained():
                    tracker = kind(out)
                stack.callback(_close, name, tracker)
                manager.register(tracker, f"--track {name}")
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # as above
                raise GenbenchError(f"--track {name}: {error_text(error)}") from error
            stack.callback(manager.unregister, tracker)
        yield


def _close(name: str, tracker: Tracker) -> None:
    try:
        with contained():
            tracker.close()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # as above
        warnings.warn(f"--track {name}: {error_text(error)}", stacklevel=2)

"""Telling plugins how runs go."""

from __future__ import annotations

import warnings
from typing import Any

import pluggy


class Lifecycle:
    """Calls lifecycle hooks, each plugin's by itself: one that raises is a warning, and keeps nothing from the others.

    It is one warning for each plugin and hook, however often that fails.
    """

    def __init__(self, hooks: pluggy.HookRelay) -> None:
        self._hooks = hooks
        self._failed: set[tuple[str, str]] = set()

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call all implementations of a hook, with those of the arguments that they take."""
        for implementation in reversed(getattr(self._hooks, hook).get_hookimpls()):
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except Exception as error:
                self._warn(implementation.plugin_name, hook, error)

    def _warn(self, plugin: str, hook: str, error: Exception) -> None:
        if (plugin, hook) not in self._failed:
            self._failed.add((plugin, hook))
            warnings.warn(f"plugin '{plugin}': {hook} failed: {type(error).__name__}: {error}", stacklevel=4)

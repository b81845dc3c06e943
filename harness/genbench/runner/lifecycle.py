"""Telling plugins how runs go."""

from __future__ import annotations

import warnings
from typing import Any

import pluggy

from genbench import clocks
from genbench.contained import contained
from genbench.plain import error_text

#: Seconds that a hook may take: meanwhile nobody hears what runs report, and none is started.
SLOW = 10.0


class Lifecycle:
    """Calls lifecycle hooks, each plugin's by itself. One that raises or exits, takes long, or changes what it shares
    with the campaign is a warning, and keeps nothing from the others.

    There is one warning for each plugin and hook, however often that fails.
    """

    def __init__(self, hooks: pluggy.HookRelay) -> None:
        self._hooks = hooks
        self._failed: set[tuple[str, str]] = set()

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call all implementations of a hook, with those of the arguments that they take.

        Raises:
            KeyboardInterrupt: the user has pressed Ctrl-C.
        """
        for implementation in reversed(getattr(self._hooks, hook).get_hookimpls()):
            started = clocks.monotonic()
            try:
                with contained() as faults:
                    implementation.function(*(arguments[name] for name in implementation.argnames))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit among them: only the campaign ends itself
                faults = [f"failed: {error_text(error)}"]
            if (seconds := clocks.monotonic() - started) > SLOW:
                faults.append(f"took {seconds:.0f} s")
            if faults:
                self._warn(implementation.plugin_name, hook, " and ".join(faults))

    def _warn(self, plugin: str, hook: str, what: str) -> None:
        if (plugin, hook) not in self._failed:
            self._failed.add((plugin, hook))
            warnings.warn(f"plugin '{plugin}': {hook} {what}", stacklevel=4)

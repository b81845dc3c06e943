"""Linux's means of keeping processes together: names, adoption of orphans, ending a process and all below it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

import psutil

#: Commands of prctl(2).
_SET_PARENT_DEATH_SIGNAL, _SET_NAME, _SET_CHILD_SUBREAPER = 1, 15, 36
#: How long killed processes may take to be gone, in seconds; one that the kernel does not let go is left.
PATIENCE = 5.0


def name_process(name: str) -> None:
    """Show this process as `name`, at most 15 characters, in `ps` and `top`."""
    _prctl(_SET_NAME, ctypes.create_string_buffer(name.encode()))


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent has ended."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def signal_at_end_of_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends."""
    _prctl(_SET_PARENT_DEATH_SIGNAL, number)


def kill_children() -> None:
    """Kill every process below this one and wait until they are gone. Orphans must be adopted for that."""
    deadline = time.monotonic() + PATIENCE
    while _reap() and time.monotonic() < deadline:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        time.sleep(0.005)


def kill_tree(pid: int) -> None:
    """Kill a process and every process below it; the lowest come last, so that none is handed on unseen."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        found = [root, *root.children(recursive=True)]
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.suspend()
        for process in [*root.children(recursive=True), *found]:
            with contextlib.suppress(psutil.Error):
                process.kill()


def exit_text(code: int | None) -> str:
    """A process's exit code, as `subprocess` gives it, in words."""
    if code is not None and code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:  # a real-time signal
            return f"killed by signal {-code}"
    return f"exit code {code}"


def _reap() -> bool:
    """Take notice of children that have ended; returns whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _prctl(command: int, argument: object) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(command, argument, 0, 0, 0)

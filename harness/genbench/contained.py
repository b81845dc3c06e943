"""Foreign code in the campaign's own process: a hook, a tracker, a plugin that is imported. The code may raise, exit,
change the working folder or close the standard streams; the campaign goes on as if it had not."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

#: The standard streams that messages go to, by file descriptor.
STREAMS = {1: "stdout", 2: "stderr"}


class NotTheUser(Exception):
    """Foreign code raised a KeyboardInterrupt of its own."""


@contextmanager
def contained() -> Iterator[list[str]]:
    """Run foreign code, and put back the working folder, the standard streams and the handler of Ctrl-C afterwards.

    Yields:
        A list that afterwards names what had to be put back.

    Raises:
        KeyboardInterrupt: the user has pressed Ctrl-C, whatever the code has made of that.
        NotTheUser: the code raised a KeyboardInterrupt of its own.
        BaseException: whatever else the code raises.
    """
    changed: list[str] = []
    surroundings = _Surroundings()
    interrupted: list[int] = []
    try:
        with _noting_interrupts(interrupted):
            yield changed
    except KeyboardInterrupt:
        if not interrupted:
            raise NotTheUser("KeyboardInterrupt without Ctrl-C") from None
        raise
    finally:
        changed += surroundings.restore()
        if interrupted:
            raise KeyboardInterrupt


@contextmanager
def _noting_interrupts(interrupted: list[int]) -> Iterator[None]:
    """Note Ctrl-C, which then does what it did before."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Surroundings:
    """The folder and streams that foreign code shares with the campaign, as they are now."""

    def __init__(self) -> None:
        self._folder = _working_folder()
        self._streams = {number: getattr(sys, name) for number, name in STREAMS.items()}
        self._copies: dict[int, int] = {}
        for number in STREAMS:
            with contextlib.suppress(OSError):  # a program may be started without it
                self._copies[number] = os.dup(number)

    def restore(self) -> list[str]:
        """Put everything back; what had been changed, in words."""
        changed = []
        if self._folder is not None and _working_folder() != self._folder:
            with contextlib.suppress(OSError):  # it may be deleted by now
                os.chdir(self._folder)
            changed.append("changed the working folder")
        for number, name in STREAMS.items():
            if self._restore_stream(number, name):
                changed.append(f"changed or closed {name}")
        return changed

    def _restore_stream(self, number: int, name: str) -> bool:
        stream, copy = self._streams[number], self._copies.pop(number, None)
        lost = copy is not None and not _same_file(number, copy)
        if copy is not None:
            if lost:
                os.dup2(copy, number)
            os.close(copy)
        closed = stream is not None and stream.closed
        replaced = getattr(sys, name) is not stream
        if closed:
            stream = _open_again(number)
        if closed or replaced:
            setattr(sys, name, stream)
        return lost or closed or replaced


def _working_folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  # asked at every event: as text
    except OSError:
        return None


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False


def _open_again(number: int) -> TextIO | None:
    try:
        return open(number, "w", errors="replace", closefd=False)  # what is open already
    except OSError:
        return None

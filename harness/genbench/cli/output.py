"""Standard output and standard error, which may fail: a reader that has seen enough, a full disk, a closed terminal.
What can't be printed is dropped, and the command goes on."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

#: Nobody is left to read what is printed, which is nobody's fault.
GONE = (errno.EPIPE, errno.EIO, errno.EBADF)


class Output:
    """A text stream whose writing never fails.

    Attributes:
        failure: why nothing is written any more, if that is so.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | ValueError | None = None
        with contextlib.suppress(Exception):  # a stand-in for a stream may have no encoding
            if stream.errors == "strict":
                stream.reconfigure(errors="replace")  # type: ignore[attr-defined]  # as above

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # who finds one writes past this
            raise AttributeError(name)
        return getattr(self._stream, name)

    def write(self, text: str | bytes) -> int:
        """Write, or drop what can't be written.

        Raises:
            TypeError: `text` is an empty bytes object: click asks so whether this is a stream of bytes.
        """
        if isinstance(text, bytes):  # click's completion
            if not text:
                raise TypeError("a stream of text")
            text = text.decode(errors="replace")
        if self.failure is None:
            try:
                return self._stream.write(text)
            except (OSError, ValueError) as error:  # ValueError: it is closed
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Write what is held back, or drop it."""
        if self.failure is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:  # as above
                self._give_up(error)

    def close(self) -> None:
        """Keep it open: the stream is the whole program's."""

    @property
    def lost(self) -> str | None:
        """Why a reader who is still there lacks something, if one does."""
        failure = self.failure
        if not isinstance(failure, OSError) or failure.errno in GONE:
            return None
        return failure.strerror or str(failure)

    def _give_up(self, error: OSError | ValueError) -> None:
        self.failure = error
        with contextlib.suppress(OSError, ValueError):  # else what is held back fails once more when Python ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def safe_output() -> Iterator[Output | None]:
    """Make both standard streams safe to print on for as long as this lasts; standard output, if there is one."""
    _occupy_descriptors()
    before = sys.stdout, sys.stderr
    out, err = (None if stream is None else Output(stream) for stream in before)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        for stream in (out, err):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def _occupy_descriptors() -> None:
    """Open what was closed of the three standard descriptors: else the next file had its number, and what is printed
    went into that file."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def hangup_ignored() -> Iterator[None]:
    """Go on when the terminal is closed; so do processes that are started meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)

"""A run's own lines in its log. The log may be gone, full or closed by the model: that costs the line and no more."""

from __future__ import annotations

import contextlib
import sys

from genbench.plain import plain_text, traceback_text


def say(text: str) -> None:
    """Print a line."""
    with contextlib.suppress(Exception):  # the stream is whatever the model has made of it
        print(plain_text(text), flush=True)


def say_traceback(error: BaseException) -> None:
    """Print the end of an exception's traceback on standard error."""
    with contextlib.suppress(Exception):  # as above
        print(traceback_text(error), file=sys.stderr, flush=True)

"""Errors that are the user's to fix: shown as one line, without a traceback."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable


class GenbenchError(Exception):
    """Something went wrong that the message explains in full; the program exits with 1."""

    exit_code = 1


class UsageError(GenbenchError):
    """What was asked for makes no sense: an unknown name, a bad value; the program exits with 2."""

    exit_code = 2


class UnsupportedData(GenbenchError):
    """A model can't be trained on this kind of data; the message says what it needs."""


class OddData(GenbenchError, ValueError):
    """A dataset is not what it says; the message says what was found and what to do."""


def unknown(what: str, name: str, valid: Iterable[str]) -> UsageError:
    """The error for a `name` that is none of the `valid` ones, with the nearest of them."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = f"choose from {', '.join(names)}" if names else "there are none"
    return UsageError(f"unknown {what} '{name}': {hint}")


def printable(text: str | os.PathLike[str]) -> str:
    """A text or a path as text that can be printed and stored: bytes that are no UTF-8 and control characters stand as
    escapes (`caf\\xe9.png`)."""
    return "".join(c if c.isprintable() else _escape(c) for c in os.fspath(text))


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte of a file's name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")

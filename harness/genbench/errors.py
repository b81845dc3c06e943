"""Errors that are the user's to fix: shown as one line, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GenbenchError(Exception):
    """Something went wrong that the message explains in full; the program exits with 1."""

    exit_code = 1


class UsageError(GenbenchError):
    """What was asked for makes no sense: an unknown name, a bad value; the program exits with 2."""

    exit_code = 2


class UnsupportedData(GenbenchError):
    """A model can't be trained on this kind of data; the message says what it needs."""


def unknown(what: str, name: str, valid: Iterable[str]) -> UsageError:
    """The error for a `name` that is none of the `valid` ones, with the nearest of them."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = f"choose from {', '.join(names)}" if names else "there are none"
    return UsageError(f"unknown {what} '{name}': {hint}")

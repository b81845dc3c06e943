"""Carrying proofs out: each under its own guard, from its own seed, in one thread."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from genbench.metrics.base import PROTOCOL_SEED, seeded
from genbench.plain import error_text
from genbench.plugins.entries import SelftestEntry
from genbench.selftest.base import Check


@dataclass(frozen=True)
class Outcome:
    """A check that was made, or why there are no more of them.

    Attributes:
        selftest: the name of the entry.
        check: what was checked; None where the proof raised.
        error: what it raised, on one line.
    """

    selftest: str
    check: Check | None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether the check was made and its verdict is good."""
        return self.check is not None and self.check.verdict == "ok"


def prove(entry: SelftestEntry) -> list[Outcome]:
    """The outcomes of one proof. One that raises, or that yields nothing, ends with an outcome that says so."""
    outcomes: list[Outcome] = []
    try:
        module, _, function = entry.target.partition(":")
        checks = getattr(importlib.import_module(module), function)
        with seeded(PROTOCOL_SEED, torch.device("cpu")), _one_thread():
            for check in checks():
                if not isinstance(check, Check):
                    raise TypeError(f"{entry.target} yields {check!r}, not a Check")
                outcomes.append(Outcome(entry.name, check))
        if not outcomes:
            raise ValueError(f"{entry.target} yields no checks")
    except Exception as error:
        outcomes.append(Outcome(entry.name, None, error_text(error)))
    return outcomes


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums are then taken in the same order on any number of cores, and small tensors sooner."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

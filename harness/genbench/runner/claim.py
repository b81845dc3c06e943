"""Who has which hardware of this machine: runs under a budget in seconds have theirs for themselves, also against the
runs of other campaigns."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_runtime_path

from genbench.results.lock import HeldLock, holder


class Claim:
    """Hardware that a run uses, for as long as this process lives or until it is released."""

    def __init__(self, locks: list[HeldLock]) -> None:
        self._locks = locks

    @classmethod
    def take(cls, hardware: Iterable[str], *, shared: bool, out: Path | None = None) -> Claim | None:
        """A claim on all of this hardware, for runs of the output folder `out`, or None if some of it is claimed by a
        run that does not share, or by any run if this one does not.

        Where locks can't be kept nothing is claimed, and a run that is slowed down only says so in its record. Other
        users' runs, and those in containers of their own, are not known either.
        """
        claim = cls([])
        for name in hardware:
            try:
                lock = HeldLock.take(folder() / name, shared=shared, out=out)
            except OSError:
                continue
            if lock is None:
                claim.release()
                return None
            claim._locks.append(lock)
        return claim

    def release(self) -> None:
        """Others may have it."""
        while self._locks:
            self._locks.pop().release()


def claimed(hardware: Iterable[str]) -> str:
    """This hardware in words, with who claimed it last."""
    names = list(hardware)
    return ", ".join(names) + " and ".join(dict.fromkeys(filter(None, (holder(folder() / name) for name in names))))


def folder() -> Path:
    """Where this user's claims on this machine are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where a session has no such folder, one in the temporary folder will do
        return user_runtime_path("genbench", ensure_exists=True) / "hardware"

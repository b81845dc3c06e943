"""One process at a time works on a run: a lock that the campaign takes and its worker keeps.

`flock` belongs to the open file, which both processes have: it is free when both are gone, however they ended, so that
nobody ever touches what a dying worker may still be writing to.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class HeldLock:
    """A lock that this process holds, as does every process that has the open file `descriptor` too."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, path: Path, *, shared: bool = False) -> HeldLock | None:
        """The lock on the file at `path`, which is made where there is none; None if somebody else holds it, or for a
        `shared` one if somebody holds it who does not share."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def release(self) -> None:
        """This process holds it no longer."""
        os.close(self.descriptor)

"""One process at a time works on a run: a lock that the campaign takes and its worker keeps.

`flock` belongs to the open file, which both processes have: it is free when both are gone, however they ended, so that
nobody ever touches what a dying worker may still be writing to.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

#: Characters of a command that a lock says, and bytes that are read of what one says.
COMMAND, LONGEST = 300, 16_384
#: What `flock` says where the file system has no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
#: The folders without locks that were told of.
_told: set[Path] = set()


class HeldLock:
    """A lock that this process holds, as does every process that has the open file `descriptor` too."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, path: Path, *, shared: bool = False, out: Path | None = None) -> HeldLock | None:
        """The lock on the file at `path`, which is made where there is none; None if somebody else holds it, or for a
        `shared` one if somebody holds it who does not share.

        The file then says who took it, and for which output folder (`out`). On a file system without locks everybody
        gets it, and a line on standard error says so, once for each folder.

        Raises:
            OSError: the file can't be made or opened.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            _tell(path.parent)
        with contextlib.suppress(OSError):  # of a full disk: the lock is held all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_myself(out)).encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """This process holds it no longer."""
        os.close(self.descriptor)


def holder(path: Path) -> str:
    """Who took the lock at `path` last, in brackets: process, command, output folder and time; empty where the file
    does not say."""
    try:
        said = json.loads(path.read_bytes()[:LONGEST])
        parts = f"process {said['pid']}", f"`{said['command']}`", said["out"] and f"for {said['out']}", said["since"]
    except (OSError, ValueError, TypeError, LookupError):
        return ""
    text = ", ".join(part for part in parts if part)
    return f" ({''.join(character for character in text if character.isprintable())})"


def _myself(out: Path | None) -> dict[str, Any]:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:COMMAND]
    since = time.strftime("since %Y-%m-%d %H:%M:%S")
    return {"pid": os.getpid(), "command": command, "out": str(out.absolute()) if out else "", "since": since}


def _tell(folder: Path) -> None:
    if folder not in _told:
        _told.add(folder)
        line = f"genbench: {folder} is on a file system without locks: use it from one genbench at a time"
        with contextlib.suppress(OSError):  # standard error may be full or closed
            print(line, file=sys.stderr, flush=True)

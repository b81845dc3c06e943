"""A disk on which the n-th operation goes wrong."""

import builtins
import errno
import io
import os
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

#: Of the processes of a campaign: which go wrong, at which operation, how, below which folder, and a file that says so.
VARIABLE = "GENBENCH_TEST_FAULT"

#: What changes a disk, of `os`.
CALLS = ("open", "fsync", "replace", "rename", "mkdir", "unlink", "remove", "rmdir", "link", "symlink", "truncate")


class Killed(BaseException):
    """The process was killed here: whatever it does from now on does not happen."""


class Disk:
    """Counts what is done to a disk, and lets the operation of this number go wrong.

    Args:
        number: of the operation, from 1 on.
        fault: an error number; or None: the process is killed there.
    """

    def __init__(self, number, fault):
        self.number, self.fault = number, fault
        self.count = 0

    @property
    def reached(self):
        return self.count >= self.number

    def concerns(self, *paths):
        """Whether what is done to these counts."""
        return True

    def operate(self):
        self.count += 1
        if self.fault is None and self.reached:
            raise Killed
        if self.count == self.number:
            raise OSError(self.fault, os.strerror(self.fault))


class Below(Disk):
    """A disk of a process of a campaign, of which only what lies below a folder counts.

    Args:
        number, fault: as of a disk.
        folder: the path that counts.
        told: a file that is made when the operation goes wrong.
    """

    def __init__(self, number, fault, folder, told):
        super().__init__(number, fault)
        self.folder, self.told = folder, told

    def concerns(self, *paths):
        return any(isinstance(path, str | Path) and str(path).startswith(self.folder) for path in paths)

    def operate(self):
        if self.count + 1 == self.number:
            self.count += 1
            os.close(os.open(self.told, os.O_CREAT | os.O_WRONLY))
            if self.fault is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.fault, os.strerror(self.fault))
        self.count += 1


class File:
    """A file whose writes go to a disk: one that goes wrong writes half."""

    def __init__(self, file, disk):
        self._file, self._disk = file, disk

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, content):
        try:
            self._disk.operate()
        except BaseException:
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            raise
        return self._file.write(content)


@contextmanager
def on(disk):
    """Everything in here is done on this disk; an error that it gives, or a kill, ends it."""
    with pytest.MonkeyPatch.context() as patch:
        _use(disk, patch)
        with suppress(Killed):
            yield


def use_in_this_process():
    """Do as `VARIABLE` says in this process, and in those that are forked from it, each by itself."""
    role, number, fault, folder, told = os.environ[VARIABLE].split(":")
    if role == ("parent" if "genbench.cli" in " ".join(sys.orig_argv) else "worker"):
        disk = Below(int(number), int(fault) or None, folder, told)
        _use(disk, pytest.MonkeyPatch())
        os.register_at_fork(after_in_child=lambda: setattr(disk, "count", 0))


def _use(disk, patch):
    for name in CALLS:
        patch.setattr(os, name, _counting(getattr(os, name), disk))
    opened = io.open

    def open_(file, mode="r", *arguments, **options):
        writes = bool(set(mode) & set("wxa+")) and disk.concerns(file)
        if writes:
            disk.operate()
        found = opened(file, mode, *arguments, **options)
        return File(found, disk) if writes else found

    patch.setattr(io, "open", open_)
    patch.setattr(builtins, "open", open_)


def _counting(function, disk):
    def counted(*arguments, **options):
        if disk.concerns(*arguments):
            disk.operate()
        return function(*arguments, **options)

    return counted


#: A full disk, a broken one, and a kill.
FAULTS = [pytest.param(errno.ENOSPC, id="full"), pytest.param(errno.EIO, id="broken"), pytest.param(None, id="killed")]

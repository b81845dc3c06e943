"""A disk on which the n-th operation goes wrong."""

import builtins
import errno
import io
import os
from contextlib import contextmanager, suppress

import pytest

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

    def operate(self):
        self.count += 1
        if self.fault is None and self.reached:
            raise Killed
        if self.count == self.number:
            raise OSError(self.fault, os.strerror(self.fault))


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
        for name in CALLS:
            patch.setattr(os, name, _counting(getattr(os, name), disk))
        opened = io.open

        def open_(file, mode="r", *arguments, **options):
            if not isinstance(file, int) and not set(mode) & set("wxa+"):
                return opened(file, mode, *arguments, **options)
            if not isinstance(file, int):
                disk.operate()
            found = opened(file, mode, *arguments, **options)
            return File(found, disk) if set(mode) & set("wxa+") else found

        patch.setattr(io, "open", open_)
        patch.setattr(builtins, "open", open_)
        with suppress(Killed):
            yield


def _counting(function, disk):
    def counted(*arguments, **options):
        disk.operate()
        return function(*arguments, **options)

    return counted


#: A full disk, a broken one, and a kill.
FAULTS = [pytest.param(errno.ENOSPC, id="full"), pytest.param(errno.EIO, id="broken"), pytest.param(None, id="killed")]

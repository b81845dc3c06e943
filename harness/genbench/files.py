"""Files in places where anything may lie: folders, links, pipes, devices, or more than fits into memory."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def read_content(path: Path, largest: int) -> bytes:
    """The content of a plain file of at most so many bytes; nothing else is waited for, such as somebody who writes to
    a pipe.

    Raises:
        OSError: it can't be read, is no plain file, or is too large.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise OSError(errno.EFBIG, f"larger than {largest // 2**20} MiB")
        return file.read(size + 1)  # one more: of a file of the kernel's own, which has no size


def read_end(path: Path, count: int) -> bytes:
    """The last bytes of a plain file, at most so many.

    Raises:
        OSError: it can't be read, or is no plain file.
    """
    with open_plain(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - count))
        return file.read(count)


def open_plain(path: Path) -> BinaryIO:
    """A plain file, open for reading.

    Raises:
        OSError: it can't be read, or is no plain file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file")
    return open(descriptor, "rb")  # noqa: PTH123 (what is open already, for the caller to close)


@contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """A plain safetensors file, opened by `safetensors.safe_open`, which takes no name that is not UTF-8 and would wait
    at a pipe.

    Raises:
        OSError: it can't be read, or is no plain file.
        SafetensorError: it is damaged.
    """
    from safetensors import safe_open  # late: others of this module are asked for by processes without torch

    with open_plain(path) as file, safe_open(f"/proc/self/fd/{file.fileno()}", "pt") as tensors:
        yield tensors


def is_plain(path: Path) -> bool:
    """Tell whether there is a plain file: no folder, link, pipe or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def remove(path: Path) -> None:
    """Remove whatever is there, a folder with all that is in it, if anything is.

    Raises:
        OSError: it can't be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_unless_plain(path: Path) -> None:
    """Remove what is in the way of a file.

    Raises:
        OSError: it can't be removed.
    """
    if not is_plain(path):
        remove(path)

"""Downloaded files: kept in the cache, packed or not, checked against published checksums whenever they are read."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import io
import logging
import os
import socket
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from genbench.errors import GenbenchError, printable

#: Ends a message about the cache.
REMEDY = "set GENBENCH_DATA to a folder that has it"

#: Seconds without an answer after which a download is given up.
PATIENCE = 30.0

#: No file of a dataset is larger, in bytes; what a damaged or hostile archive unpacks to may be.
LARGEST = 2**28

#: What unpacking raises for archives that are none, damaged or cut short.
UNPACKING = (OSError, EOFError, KeyError, tarfile.TarError, zlib.error)


def ensure(dataset: str, cache: Path, names: Iterable[str], download: Callable[[Path], object]) -> None:
    """Have the files `names`, paths relative to `cache`, in the cache.

    A file may also be there as it is published, with the suffix `.gz`. What is missing is downloaded beside the cache
    and moved into place when it is whole, so that a download that fails or is interrupted leaves nothing behind and two
    processes may do it at once.

    Args:
        dataset: the dataset's name.
        cache: the folder of all downloaded datasets.
        names: the files.
        download: puts all of them under the folder that it is given.

    Raises:
        GenbenchError: they can't be downloaded or written.
    """
    try:
        missing = [name for name in names if not ((cache / name).is_file() or _packed(cache / name).is_file())]
        beside = next(parent for parent in (cache, *cache.absolute().parents) if parent.exists())
    except OSError as error:
        raise GenbenchError(f"{printable(cache)} can't be read ({error.strerror}); {REMEDY}") from error
    if not missing:
        return
    if not beside.is_dir():
        raise GenbenchError(f"{printable(beside)} is a file, and data would be kept there; {REMEDY}")
    logging.getLogger("genbench").info("downloading %s into %s", dataset, cache)
    try:
        with tempfile.TemporaryDirectory(dir=beside, prefix=f"{dataset}-") as folder:
            with _quiet():
                download(Path(folder))
            for name in missing:
                (cache / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(folder) / name, cache / name)  # noqa: PTH105  # the name of the atomic system call
    except (OSError, EOFError, RuntimeError, http.client.HTTPException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[-1]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise GenbenchError(
            f"{missing[0]}{more} can't be downloaded into {printable(cache)} ({printable(reason)}); "
            f"put what is missing there by hand or {REMEDY}"
        ) from error


def verified(path: Path, md5: str) -> bytes:
    """The file's content, or that of the same file with the suffix `.gz`, once its checksum is found to be `md5`.

    Raises:
        GenbenchError: it can't be read, or is not what it should be.
    """
    packed = not path.is_file() and _packed(path).is_file()
    found = _packed(path) if packed else path
    name = printable(found)
    try:
        if packed:
            with gzip.open(found) as file:
                content = file.read(LARGEST)
        else:
            content = found.read_bytes()
    except UNPACKING as error:
        reason = getattr(error, "strerror", None) or error
        raise GenbenchError(f"{name} can't be read ({reason}); delete or mend it") from error
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != md5:
        raise GenbenchError(
            f"{name} is damaged: its MD5 checksum {'unpacked ' if packed else ''}is {digest}, expected {md5}; "
            "delete it, and the next run downloads it again"
        )
    return content


def unpack(archive: Path, names: Iterable[str], folder: Path) -> None:
    """Put the files `names` of a `.tar.gz` under `folder`.

    Raises:
        GenbenchError: the archive can't be read, or lacks one of them.
    """
    try:
        with tarfile.open(archive) as tar:
            for name in names:
                file = tar.extractfile(name)
                if file is None:
                    raise KeyError(f"{name} is no plain file")
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(file.read(LARGEST))
    except UNPACKING as error:
        reason = " ".join(str(error).split())
        raise GenbenchError(f"{printable(archive)} can't be unpacked ({reason}); delete or mend it") from error


def _packed(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, and no waiting for ever on a network that does not answer."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(timeout)

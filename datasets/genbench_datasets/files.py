"""Downloaded files: kept in the cache, checked against published checksums whenever they are read."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from genbench.errors import GenbenchError

#: Seconds without an answer after which a download is given up.
PATIENCE = 30.0


def ensure(dataset: str, cache: Path, names: Iterable[str], download: Callable[[Path], object]) -> None:
    """Have the files `names`, paths relative to `cache`, in the cache.

    What is missing is downloaded beside the cache and moved into place when it is whole, so that a download that fails
    or is interrupted leaves nothing behind and two processes may do it at once.

    Args:
        dataset: the dataset's name.
        cache: the folder of all downloaded datasets.
        names: the files.
        download: puts all of them under the folder that it is given.

    Raises:
        GenbenchError: they can't be downloaded or written.
    """
    missing = [name for name in names if not (cache / name).is_file()]
    if not missing:
        return
    logging.getLogger("genbench").info("downloading %s into %s", dataset, cache)
    beside = next(parent for parent in (cache, *cache.absolute().parents) if parent.is_dir())
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
            f"{missing[0]}{more} can't be downloaded into {cache} ({reason}); "
            "put what is missing there by hand or set GENBENCH_DATA to a folder that has it"
        ) from error


def verified(path: Path, md5: str) -> bytes:
    """The file's content, once its checksum is found to be `md5`.

    Raises:
        GenbenchError: it can't be read, or is not what it should be.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GenbenchError(f"{path} can't be read ({error.strerror})") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise GenbenchError(
            f"{path} is damaged: its MD5 checksum is {found}, expected {md5}; "
            "delete it, and the next run downloads it again"
        )
    return content


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

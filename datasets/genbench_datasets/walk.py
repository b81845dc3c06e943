"""Finding a user's files: all that are data under a folder, each once, whatever else lies there."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError, printable

#: What file managers, archives and storage systems leave in folders of data, beside names that begin with a dot.
CLUTTER = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class Found:
    """Files under a folder.

    Attributes:
        files: the data, relative to the folder, in no particular order.
        others: how many files have another suffix.
    """

    files: list[Path]
    others: int


def find_files(root: Path, suffixes: Collection[str]) -> Found:
    """All files under `root` with one of these suffixes, in lower or upper case.

    Hidden files and folders, and `CLUTTER`, are no data. Links to files and folders are followed; every folder is
    looked at once, under its own name if it lies in `root`, and a link that leads back to where it lies is left out.

    Raises:
        GenbenchError: a folder can't be read, or a link leads nowhere.
    """
    try:
        return _Walk(suffixes).under(root)
    except OSError as error:
        raise GenbenchError(f"{printable(error.filename)} can't be read ({error.strerror})") from None


class _Walk:
    def __init__(self, suffixes: Collection[str]) -> None:
        self.suffixes = suffixes
        self.seen: set[tuple[int, int]] = set()
        self.links: deque[Path] = deque()
        self.files: list[Path] = []
        self.others = 0

    def under(self, root: Path) -> Found:
        """Files under `root`: first those in the folders that are in it, then in those that links lead to."""
        self.enter(root)
        while self.links:
            link = self.links.popleft()
            if not link.parent.resolve().is_relative_to(link.resolve()):
                self.enter(link)
        return Found([path.relative_to(root) for path in self.files], self.others)

    def enter(self, folder: Path) -> None:
        """Take in a folder with all that is in it, links to folders excepted."""
        pending = [folder]
        while pending:
            here = pending.pop()
            status = here.stat()
            if (status.st_dev, status.st_ino) in self.seen:
                continue
            self.seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as entries:
                paths = [Path(entry.path) for entry in entries]
            for path in sorted(paths, key=lambda path: os.fsencode(path.name)):
                if path.name.startswith(".") or path.name in CLUTTER:
                    continue
                if not path.is_dir():
                    self.take(path)
                elif path.is_symlink():
                    self.links.append(path)
                else:
                    pending.append(path)

    def take(self, path: Path) -> None:
        """Take in what is no folder."""
        wanted = path.suffix.lower() in self.suffixes
        if path.is_symlink() and not path.exists() and (wanted or not path.suffix):
            raise GenbenchError(f"{printable(path)} is a link that leads nowhere; mend or remove it")
        if path.is_file():
            if wanted:
                self.files.append(path)
            else:
                self.others += 1

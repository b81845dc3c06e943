"""Where downloaded datasets are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

#: Variables that name folders.
FOLDERS = ("GENBENCH_DATA", "GENBENCH_CACHE")


def fix_folders() -> None:
    """Make the folders that the environment names absolute, so that a change of the working folder moves none."""
    for name in FOLDERS:
        if chosen := os.environ.get(name):
            os.environ[name] = str(Path(chosen).expanduser().absolute())


def cache_folder() -> Path:
    """The folder named by the environment variable `GENBENCH_DATA`, else the platform's cache directory.

    It need not exist yet.
    """
    chosen = os.environ.get("GENBENCH_DATA")
    if chosen:
        return Path(os.path.expanduser(chosen))  # noqa: PTH111  # which leaves the `~` of an unknown user as it is
    return Path(platformdirs.user_cache_dir("genbench"))

"""The folder that a run works in, with what an earlier process of the same run left to go on from."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from genbench.files import is_plain, remove, remove_unless_plain
from genbench.results.schema import Record
from genbench.results.store import RECORD, Store
from genbench.runner.draft import RESUME

#: How a run ended that may go on from its last saved state: what ended it was not the state.
RESUMABLE = ("killed", "timeout")


def open_workspace(store: Store, key: str, resume: bool, keep: bool = False) -> Path:
    """A run's workspace, empty but for the saved state that it goes on from: that of a process that was killed with
    its campaign, or of one whose record says that it was ended from outside; or with copies of all that the finished
    run has beside its record, to `keep`.

    Raises:
        OSError: it can't be made.
    """
    folder = store.workspace(key)
    state = folder / RESUME
    aside = _aside(store, key)
    remove_unless_plain(aside)
    if resume and not aside.exists():
        if is_plain(state):
            state.replace(aside)
        elif isinstance(record := store.read(key), Record) and record.status in RESUMABLE:
            with suppress(OSError):  # without its state the run starts over
                _copy(store.folder(key) / RESUME, aside)
    remove(folder)
    folder.mkdir(parents=True)
    if resume and aside.exists():
        aside.replace(state)
    aside.unlink(missing_ok=True)
    for path in store.folder(key).iterdir() if keep else ():
        if path.name != RECORD:
            _copy(path, folder / path.name)
    return folder


def _copy(source: Path, to: Path) -> None:
    """Copy a file, if it is a plain one, so that it has its name when it is whole.

    Raises:
        OSError: it can't be copied.
    """
    if not is_plain(source):
        return
    part = to.with_name(f".{to.name}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(to)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def set_state_aside(store: Store, key: str) -> None:
    """Take the saved state out of a run's workspace, so that it is not published with the run, to where
    `open_workspace` finds it if the run is not published after all."""
    state = store.workspace(key) / RESUME
    if is_plain(state):
        state.replace(_aside(store, key))


def forget_state(store: Store, key: str) -> None:
    """Delete the state that was set aside: the run is published."""
    _aside(store, key).unlink(missing_ok=True)


def _aside(store: Store, key: str) -> Path:
    return store.workspace(key).with_name(f"{key}.{RESUME}")

"""Local plugin files (`-p path/to/file.py`).

A file that defines its model beside its hook imports torch, which the parent process must not. So the file is loaded by
a process of its own (`python -m genbench.plugins.local FILE`), which lists what it offers as JSON; the parent registers
a stand-in that offers the same. Only a file with lifecycle hooks is loaded by the parent too.

A file is imported under a private name made of its own name and a hash of its content, so that it may be called like
any other module or file. A target `"name:Class"` that names the file itself is rewritten to the private name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from genbench import hookimpl
from genbench.plain import error_text
from genbench.plugins.discovery import (
    API_VERSION,
    ENTRY_HOOKS,
    LIFECYCLE_HOOKS,
    BrokenFile,
    check,
    entries_of,
    file_version,
)
from genbench.plugins.entries import DatasetEntry, Entry, ExecutorEntry, MetricEntry, ModelEntry, SelftestEntry
from genbench.processes import adopt_orphans, kill_children, kill_tree, signal_at_end_of_parent

#: How long loading a file may take, in seconds.
LIMIT = 60.0
#: The folders of the files that were imported, the last one first.
_folders: list[str] = []


class StandIn:
    """Offers what a local plugin file offers, without having loaded it.

    Attributes:
        module: the file itself, where it has lifecycle hooks.
    """

    GENBENCH_API = API_VERSION

    def __init__(self, entries: list[Entry], module: ModuleType | None = None) -> None:
        self.entries = entries
        self.module = module
        for hook in LIFECYCLE_HOOKS:
            if hasattr(module, hook):
                setattr(self, hook, getattr(module, hook))

    @hookimpl
    def genbench_models(self) -> list[ModelEntry]:
        """The file's models."""
        return [entry for entry in self.entries if isinstance(entry, ModelEntry)]

    @hookimpl
    def genbench_datasets(self) -> list[DatasetEntry]:
        """The file's datasets."""
        return [entry for entry in self.entries if isinstance(entry, DatasetEntry)]

    @hookimpl
    def genbench_metrics(self) -> list[MetricEntry]:
        """The file's metrics."""
        return [entry for entry in self.entries if isinstance(entry, MetricEntry)]

    @hookimpl
    def genbench_selftests(self) -> list[SelftestEntry]:
        """The file's proofs."""
        return [entry for entry in self.entries if isinstance(entry, SelftestEntry)]

    @hookimpl
    def genbench_executors(self) -> list[ExecutorEntry]:
        """The file's executors."""
        return [entry for entry in self.entries if isinstance(entry, ExecutorEntry)]


def stand_in(path: Path) -> StandIn:
    """The plugin that the parent registers for this file.

    Raises:
        BrokenFile: the file could not be loaded; the message says why.
        Exception: whatever a file with lifecycle hooks raises when it is imported here.
    """
    answer = _ask(path)
    if "error" in answer:
        raise BrokenFile(answer["error"])
    kinds = {kind.__name__: kind for kind in ENTRY_HOOKS.values()}
    entries = [kinds[kind](**fields) for kind, fields in answer["entries"]]
    module = None
    if answer["lifecycle"]:
        with contextlib.redirect_stdout(sys.stderr):
            module = import_file(path)
    return StandIn(entries, module)


def _ask(path: Path) -> dict[str, Any]:
    """The answer of the process that loads the file; it ends, with all that it has started, before this returns."""
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module; the file is the user's to run
            [sys.executable, "-m", "genbench.plugins.local", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise BrokenFile(f"importing it took longer than {LIMIT:.0f} s") from None
        finally:
            if process.poll() is None:
                kill_tree(process.pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):  # its group ends with its last process
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        file.seek(0)
        try:
            answer = json.loads(file.read())
        except ValueError:
            ending = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise BrokenFile(f"importing it ended the process ({ending})") from None
    assert isinstance(answer, dict)
    return answer


def module_name(path: Path) -> str:
    """The name that a local plugin file is imported under: the same wherever the file lies, and no other module's.

    Raises:
        OSError: the file can't be read.
    """
    return f"{re.sub('[^A-Za-z0-9_]', '_', path.stem)}@{file_version(path)}"


def import_file(path: Path) -> ModuleType:
    """Import a local plugin file under its private name, and let it import what lies beside it.

    Under its plain name it can be imported too, by other files, where no other module is called so.

    Raises:
        Exception: whatever the file raises.
    """
    name = module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a path that ends in .py always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _look_beside(path)
    names = [name, path.stem] if _is_free(path) else [name]
    sys.modules |= dict.fromkeys(names, module)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for each in names:
            sys.modules.pop(each, None)
        raise
    return module


def _look_beside(path: Path) -> None:
    """Have imports look into the file's folder after all but those of other local files, and forget the modules of
    those folders that have the name of one in this folder."""
    folder = str(path.parent)
    if folder in sys.path and folder not in _folders:
        return
    others = [each for each in _folders if each != folder]
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        origin = getattr(module, "__file__", None) or ""
        theirs = any(origin.startswith((f"{other}/{top}.py", f"{other}/{top}/")) for other in others)
        if theirs and (Path(folder, top).is_dir() or Path(folder, f"{top}.py").is_file()):
            del sys.modules[name]
    sys.path[:] = [*(each for each in sys.path if each not in _folders), folder, *others]
    _folders[:] = [folder, *others]


def _is_free(path: Path) -> bool:
    """True where an import of the file's plain name means the file."""
    try:
        found = importlib.util.find_spec(path.stem)
    except (ImportError, ValueError):  # a name with dots; a module that has no spec
        return False
    return found is not None and found.origin == str(path) and path.stem not in sys.modules


def _list(path: Path) -> dict[str, Any]:
    try:
        module = import_file(path)
        check(module)
        entries = [(type(entry).__name__, dataclasses.asdict(_own(entry, path))) for entry in entries_of(module)]
    except BaseException as error:  # what a terminal interrupts is the parent
        return {"error": error_text(error)}
    return {"entries": entries, "lifecycle": any(hasattr(module, h) for h in LIFECYCLE_HOOKS)}


def _own(entry: Entry, path: Path) -> Entry:
    """The entry with a target in this file under the file's private name."""
    module, _, name = entry.target.partition(":")
    return dataclasses.replace(entry, target=f"{module_name(path)}:{name}") if module == path.stem else entry


def _main(path: Path) -> None:
    """Write what the file offers to standard output, which is the file's own no longer."""
    signal_at_end_of_parent(signal.SIGKILL)  # a file that hangs does not outlive its campaign
    adopt_orphans()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(_list(path), answer)
    answer.close()
    kill_children()
    os._exit(0)  # threads and exit handlers of the file have nothing to add


if __name__ == "__main__":
    _main(Path(sys.argv[1]))

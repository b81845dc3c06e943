"""The source files that a plugin is made of, found without importing them, and their hash.

Those are the files of its own package, and whatever they import that is no part of Python, of an installed package or
of the harness: helpers beside a local file, packages that are installed as editable. An edit of any of them makes
another plugin; an edit elsewhere does not.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

#: The path of a module of Python's own, or of an installed package.
_INSTALLED = re.compile(rf"^{re.escape(sysconfig.get_path('stdlib'))}/|/(site|dist)-packages/")
#: The package whose version stands for its source.
_HARNESS = "genbench"


def top_level(target: str) -> str:
    """The name of the top-level package or module that a `"module:Class"` lies in."""
    return target.partition(":")[0].partition(".")[0]


def package_hash(top: str, beside: Path | None = None) -> str:
    """The hash (12 hex digits) of the sources of a top-level package or module, and of the local sources that they
    import; empty where there is no source, as for a class of a local plugin file itself.

    Args:
        top: the name of the package or module.
        beside: the folder of the plugin file that offers something of it, where there is one.
    """
    files = _files_of(top, beside)
    return _hash(_closure(files, beside)) if files else ""


def file_hash(path: Path) -> str:
    """The hash (12 hex digits) of a local plugin file and of the local sources that it imports."""
    return _hash({path.name: path} | helpers(path))


def helpers(path: Path) -> dict[str, Path]:
    """The local sources that a plugin file imports, also through each other, by their paths relative to the folder
    that their imports start from."""
    found = _closure({path.name: path}, path.parent)
    return {name: file for name, file in found.items() if file != path}


def _closure(files: dict[str, Path], beside: Path | None) -> dict[str, Path]:
    """The files, and the local ones that they import, by name."""
    found = dict(files)
    waiting, seen = list(files.values()), set[str]()
    while waiting:
        for top in _imported(waiting.pop()) - seen:
            seen.add(top)
            new = {name: file for name, file in _files_of(top, beside).items() if file not in found.values()}
            if top != _HARNESS and not any(_INSTALLED.search(str(file)) for file in new.values()):
                found |= new
                waiting += new.values()
    return found


def _imported(path: Path) -> set[str]:
    """The top-level names that a file imports, wherever in it; none where it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is the file's to warn of its escapes when it is compiled
            tree = ast.parse(_content(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {name.partition(".")[0] for node in ast.walk(tree) for name in _names(node)}


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


def _files_of(top: str, beside: Path | None) -> dict[str, Path]:
    """The sources of a top-level module or package, which is looked for beside a local file last, as imports do."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):  # a module may be anything
        spec = None
    if spec is None:
        return {} if beside is None else _files_beside(top, beside)
    if spec.submodule_search_locations:
        return {name: file for each in spec.submodule_search_locations for name, file in _files_in(Path(each)).items()}
    return {f"{top}.py": Path(spec.origin)} if spec.origin and spec.origin.endswith(".py") else {}


def _files_beside(top: str, folder: Path) -> dict[str, Path]:
    file = folder / f"{top}.py"
    if (folder / top).is_dir():
        return _files_in(folder / top)
    return {file.name: file} if file.is_file() else {}


def _files_in(folder: Path) -> dict[str, Path]:
    """The sources of a package, by their paths from the folder that it lies in."""
    return {str(Path(folder.name, path.relative_to(folder))): path for path in sorted(folder.rglob("*.py"))}


def _content(path: Path) -> bytes:
    """The content of a file; nothing of one that can't be read, which whoever imports it will say."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _hash(files: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        content = _content(path)
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    return digest.hexdigest()[:12]

"""Features of data, kept on disk between runs, keyed by everything that they depend on.

Only features that took longer than `WORTHWHILE` are kept: those of small data are made faster than they are found and
checked. Nothing here can make a measurement fail or change: a file that can't be read or isn't what it should be is
made anew, and one that can't be written is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from genbench.files import open_tensors, remove_unless_plain
from genbench.plan.spec import canonical_hash

#: Seconds of computing from which on features are kept.
WORTHWHILE = 0.5
#: Digits of a key's hash in a file's name.
NAME = 32


def folder() -> Path:
    """Where features are kept: below the folder that the environment variable `GENBENCH_CACHE` names, else below the
    platform's cache directory. Datasets are elsewhere (`GENBENCH_DATA`), where nothing may be writable."""
    chosen = os.environ.get("GENBENCH_CACHE")
    return (Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("genbench"))) / "features"


def cached(key: dict[str, Any], compute: Callable[[], Tensor]) -> Tensor:
    """The features `(n, d)` that were kept under this `key`, else what `compute` gives.

    A file's name has the key and the digest of what is in it: a damaged file, or one of another name, is made anew.

    Args:
        key: all that the features depend on, as JSON.
        compute: makes them, float64 on the CPU.
    """
    name = canonical_hash(key)[:NAME]
    found = _find(name)
    if found is not None:
        return found
    start = time.perf_counter()
    features = compute().contiguous()  # as the file holds them
    if time.perf_counter() - start > WORTHWHILE and _are_features(features):
        _write(name, features)
    return features


def _find(name: str) -> Tensor | None:
    """The first whole features that are kept under a name."""
    try:
        paths = sorted(folder().glob(f"{name}-*.safetensors"))
    except OSError:
        return None
    return next((features for path in paths if (features := _read(path, name)) is not None), None)


def _read(path: Path, name: str) -> Tensor | None:
    try:
        with open_tensors(path) as file:
            features = file.get_tensor("features")
    except (OSError, SafetensorError):
        return None
    return features if _are_features(features) and path.name == _file(name, features) else None


def _write(name: str, features: Tensor) -> None:
    with contextlib.suppress(OSError, SafetensorError):
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder()) as beside:
            written = Path(beside) / "features"
            save_file({"features": features}, written)
            path = folder() / _file(name, features)
            remove_unless_plain(path)
            written.replace(path)


def _are_features(features: Tensor) -> bool:
    return features.dtype == torch.float64 and features.dim() == 2 and bool(features.isfinite().all())


def _file(name: str, features: Tensor) -> str:
    """The file's name for these features under this name."""
    digest = hashlib.sha256(f"{name} {tuple(features.shape)}".encode())
    digest.update(features.numpy().data)
    return f"{name}-{digest.hexdigest()}.safetensors"

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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genbench.plan.spec import canonical_hash

#: Seconds of computing from which on features are kept.
WORTHWHILE = 0.5


def folder() -> Path:
    """Where features are kept: below the folder that the environment variable `GENBENCH_CACHE` names, else below the
    platform's cache directory. Datasets are elsewhere (`GENBENCH_DATA`), where nothing may be writable."""
    chosen = os.environ.get("GENBENCH_CACHE")
    return (Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("genbench"))) / "features"


def cached(key: dict[str, Any], compute: Callable[[], Tensor]) -> Tensor:
    """The features `(n, d)` that were kept under this `key`, else what `compute` gives.

    Args:
        key: all that the features depend on, as JSON.
        compute: makes them, float64 on the CPU.
    """
    path = folder() / f"{canonical_hash(key)}.safetensors"
    found = _read(path)
    if found is not None:
        return found
    start = time.perf_counter()
    features = compute().contiguous()  # as the file holds them
    if time.perf_counter() - start > WORTHWHILE:
        _write(path, features)
    return features


def _read(path: Path) -> Tensor | None:
    try:
        with safe_open(path, framework="pt") as file:
            features = file.get_tensor("features")
            sha256 = file.metadata()["sha256"]
    except (OSError, SafetensorError, KeyError, TypeError):  # no metadata are None
        return None
    return features if _digest(features) == sha256 else None


def _write(path: Path, features: Tensor) -> None:
    with contextlib.suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as beside:
            written = Path(beside) / path.name
            save_file({"features": features}, written, metadata={"sha256": _digest(features)})
            written.replace(path)


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.numpy().data).hexdigest()

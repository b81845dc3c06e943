"""Where a record comes from: code, versions, machine, command."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from genbench.plan.environment import cpu_name, driver_version, gpu_name, versions
from genbench.plan.spec import RunSpec


def provenance(spec: RunSpec, command: list[str]) -> dict[str, Any]:
    """The origin of a record.

    Raises:
        GenbenchError: the run's GPU can't be used in this process.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "git": git_state(Path(__file__).parent),
        "versions": versions() | {"python": platform.python_version()},
        "cuda": torch.version.cuda if spec.device.startswith("cuda") else None,
        "driver": driver_version() if spec.device.startswith("cuda") else None,
        "gpu": gpu_name(spec.device),
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": spec.precision,
        "fingerprint": spec.fingerprint,
        "seed": spec.seed,
        "platform": platform.platform(),
        "allocator": {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")},
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Revision and dirty flag of the checkout that genbench runs from, or None where it is installed without one."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603  # fixed arguments
                ["git", "-C", str(folder), *arguments],  # noqa: S607  # the user's own git
                capture_output=True,
                text=True,
                timeout=5,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # a virtual environment may lie in somebody else's checkout: only one that tracks this file is genbench's
    if not git("ls-files", "--error-unmatch", "."):
        return None
    return {"revision": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}

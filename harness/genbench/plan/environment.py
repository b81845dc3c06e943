"""What a run's numbers depend on besides its specification: hardware and versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from genbench.errors import UsageError
from genbench.plan.exchange import VisibleGpu

#: Distributions whose versions are part of the protocol.
MEASURING = ("genbench", "torch", "torch-fidelity", "scikit-learn", "numpy")


def resolve_device(device: str) -> str:
    """`auto` as `cuda:0` where there is one, else `cpu`; `cuda` as `cuda:0`.

    Raises:
        UsageError: there is no such device.
    """
    count = torch.cuda.device_count()
    if device == "auto":
        return "cuda:0" if count else "cpu"
    if device == "cpu":
        return device
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        have = "this machine has no CUDA device" if count == 0 else f"it goes up to cuda:{count - 1}"
        raise UsageError(f"no device {device}: {have}")
    return f"cuda:{index}"


def visible_gpus(device: str) -> list[VisibleGpu]:
    """The GPUs that runs on `device` are to use: the one that is named; for `cuda`, and for `auto` where there are any,
    all that this process sees of the same make as the first, since runs on others are not comparable; else none.

    Raises:
        UsageError: there is no such device.
    """
    first = resolve_device(device)
    if first == "cpu":
        return []
    count = torch.cuda.device_count()
    tokens = [token.strip() for token in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if token.strip()]
    tokens = tokens or [str(index) for index in range(count)]
    properties = [torch.cuda.get_device_properties(index) for index in range(count)]
    found = [VisibleGpu(token, f"gpu-{each.uuid}") for token, each in zip(tokens, properties, strict=False)]
    if ":" in device:
        return [found[int(device.partition(":")[2])]]
    return [gpu for gpu, each in zip(found, properties, strict=False) if each.name == properties[0].name]


def hardware(device: str) -> dict[str, Any]:
    """The names of what computes: the GPU, or the CPU with the number of threads."""
    if device.startswith("cuda"):
        return {"gpu": torch.cuda.get_device_name(device), "driver": torch.version.cuda}
    return {"cpu": cpu_name(), "threads": torch.get_num_threads()}


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The versions of everything that measures."""
    return {name: importlib.metadata.version(name) for name in MEASURING}

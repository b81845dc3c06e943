"""What a run's numbers depend on besides its specification: hardware and versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.plan.exchange import VisibleGpu

#: Distributions whose versions are part of the protocol.
MEASURING = ("genbench", "torch", "torch-fidelity", "scikit-learn", "numpy")
#: Where Linux says which version of NVIDIA's driver it has loaded.
DRIVER = Path("/sys/module/nvidia/version")


def resolve_device(device: str) -> str:
    """`auto` as `cuda:0` where there is one, else `cpu`; `cuda` as `cuda:0`.

    Raises:
        UsageError: there is no such device.
        GenbenchError: there is, and this process can't use it.
    """
    if device == "cpu":
        return device
    count = torch.cuda.device_count()
    if device == "auto" and count == 0:
        return "cpu"
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        have = "this machine has no CUDA device" if count == 0 else f"it goes up to cuda:{count - 1}"
        raise UsageError(f"no device {device}: {have}")
    start_cuda(f"cuda:{index}")
    return f"cuda:{index}"


def visible_gpus(device: str) -> list[VisibleGpu]:
    """The GPUs that runs on `device` are to use: the one that is named; for `cuda`, and for `auto` where there are any,
    all that this process sees of the same make as the first, since runs on others are not comparable; else none.

    Raises:
        UsageError: there is no such device.
        GenbenchError: there is, and this process can't use it.
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


def start_cuda(device: str) -> None:
    """Initialise CUDA in this process, unless it is.

    Raises:
        GenbenchError: CUDA can't be used here, as with a driver that is too old, or in a process that was forked from
            one that had initialised CUDA.
    """
    try:
        torch.cuda.init()
    except Exception as error:  # torch raises several, the driver's are among them
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if "initialization error" in reason or "forked subprocess" in reason:
            reason += "; something that genbench's processes import initialises CUDA before they are forked"
        raise GenbenchError(f"{device} can't be used: {reason} (--device cpu does without)") from error


def gpu_name(device: str) -> str | None:
    """The name of a CUDA device; None of any other.

    Raises:
        GenbenchError: this process can't use it.
    """
    if not device.startswith("cuda"):
        return None
    start_cuda(device)
    return torch.cuda.get_device_name(device)


def driver_version() -> str | None:
    """The version of NVIDIA's driver; None where none is loaded, or the system does not say."""
    try:
        return DRIVER.read_text().strip()
    except OSError:
        return None


def hardware(device: str) -> dict[str, Any]:
    """The names of what computes: the GPU with the version of CUDA, or the CPU with the number of threads.

    Raises:
        GenbenchError: this process can't use the GPU.
    """
    if device.startswith("cuda"):
        return {"gpu": gpu_name(device), "cuda": torch.version.cuda}
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

"""What NVIDIA's driver tells of a GPU; nothing without the module `pynvml` (of the package `nvidia-ml-py`)."""

from __future__ import annotations

import importlib
from typing import Any

import torch


class Gpu:
    """One GPU's counters. Every number is None where the driver does not tell it.

    Args:
        device: the GPU, as torch numbers it.
    """

    def __init__(self, device: torch.device) -> None:
        self._nvml: Any = None
        self._handle: Any = None
        if device.type != "cuda" or not torch.cuda.is_available():
            return
        try:
            self._nvml = importlib.import_module("pynvml")
            self._nvml.nvmlInit()
            # torch counts the GPUs that it may see, the driver all there are: both know this name
            name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            self._handle = self._nvml.nvmlDeviceGetHandleByUUID(name)
        except Exception:  # no such module, another one of that name, an old driver, a part of a GPU
            self._handle = None

    def utilisation(self) -> float | None:
        """The share of the driver's last sampling period (up to 1 s) in which the GPU was at work, for anyone."""
        rates = self._ask("nvmlDeviceGetUtilizationRates")
        return None if rates is None else rates.gpu / 100

    def joules(self) -> float | None:
        """Energy that the whole GPU has used since the driver was loaded."""
        millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return None if millijoules is None else millijoules / 1000

    def _ask(self, question: str) -> Any:
        if self._handle is None:
            return None
        try:
            return getattr(self._nvml, question)(self._handle)
        except Exception:  # this GPU does not count it
            return None

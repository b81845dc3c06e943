"""The memory that a run takes on its device: measured, and capped."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import psutil
import torch


class Memory:
    """Measures, from now on, the most memory that this process takes on `device` beyond what it has already.

    On a GPU that is what the allocator hands out; on the CPU the resident set beyond the interpreter and its libraries.

    Args:
        device: the run's.
        cap: bytes beyond which an allocation fails, or None.
    """

    def __init__(self, device: torch.device, cap: int | None) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            if cap is not None:
                total = torch.cuda.get_device_properties(device).total_memory
                torch.cuda.set_per_process_memory_fraction(min(1.0, cap / total), device)
            return
        _reset_peak()
        self.base = psutil.Process().memory_info().rss
        if cap is not None:
            data = _status("VmData")
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (data + cap, hard))

    def peak(self) -> int:
        """The peak so far, in bytes."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return max(0, _status("VmHWM") - self.base)


def _reset_peak() -> None:
    """Make the kernel forget the resident set's peak; where it can't, the peak is that of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    """A size in /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")

"""The energy that a run's device takes while the budget clock runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from genbench.runner.nvml import Gpu

POWERCAP = Path("/sys/class/powercap")
#: The counters that overlap with no other: those of cores and graphics are parts of their package's.
DOMAINS = ("package", "dram")


class Energy:
    """Joules of the run's device, whoever used it: of the GPU by its driver, else of the CPU packages and their memory
    by the kernel's RAPL counters.

    A CPU's counters wrap around after some minutes at full load (262 kJ: 20 min at 200 W); between `start` and `stop`
    that may happen once.

    Args:
        device: the run's.
        powercap: where the kernel shows its counters.

    Attributes:
        joules: so far; None where nobody counts them, or only root may read them.
    """

    def __init__(self, device: torch.device, powercap: Path = POWERCAP) -> None:
        self._gpu = Gpu(device) if device.type == "cuda" else None
        self._domains = [] if self._gpu else _domains(powercap)
        self._before: list[tuple[float, float]] | None = None
        self.joules: float | None = 0.0

    def start(self) -> None:
        """Begin, or go on, counting."""
        self._before = self._read()

    def stop(self) -> None:
        """Stop counting."""
        after = self._read()
        if self.joules is None or self._before is None or after is None:
            self.joules = None
            return
        for (first, size), (last, _) in zip(self._before, after, strict=True):
            self.joules += last - first if last >= first else last - first + size

    def state(self) -> dict[str, Any]:
        """What another process needs to count on."""
        return {"joules": self.joules}

    def restore(self, state: dict[str, Any]) -> None:
        """Count on from `state`."""
        self.joules = state["joules"]

    def timing(self) -> dict[str, float]:
        """For the record: `energy_joules`, if it is known."""
        return {} if self.joules is None else {"energy_joules": self.joules}

    def _read(self) -> list[tuple[float, float]] | None:
        """Every counter with where it wraps around, in joules."""
        if self._gpu:
            joules = self._gpu.joules()
            return None if joules is None else [(joules, 0.0)]
        try:
            found = [
                (_microjoules(domain / "energy_uj"), _microjoules(domain / "max_energy_range_uj"))
                for domain in self._domains
            ]
        except (OSError, ValueError):
            return None
        return found or None


def _domains(powercap: Path) -> list[Path]:
    """The folders of the counters that are added up."""
    found = []
    for folder in sorted(powercap.glob("intel-rapl:*")):  # AMD's are called so too
        try:
            name = (folder / "name").read_text()
        except OSError:
            continue
        if name.startswith(DOMAINS):
            found.append(folder)
    return found


def _microjoules(path: Path) -> float:
    """A counter, in joules."""
    return int(path.read_text()) / 1e6

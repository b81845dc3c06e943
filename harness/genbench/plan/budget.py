"""Compute budgets: `60s`, `2000steps`, `5epochs`, `1e14flop`, joined by commas with a memory cap `4GiB`."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from genbench.errors import UsageError

EXAMPLES = "60s, 10min, 2000steps, 5epochs, 1e14flop, 4GiB, or several joined by commas"

_UNITS: dict[str, tuple[str, float]] = {
    "s": ("seconds", 1),
    "min": ("seconds", 60),
    "h": ("seconds", 3600),
    "step": ("steps", 1),
    "steps": ("steps", 1),
    "epoch": ("epochs", 1),
    "epochs": ("epochs", 1),
    "flop": ("flops", 1),
    "flops": ("flops", 1),
    "kib": ("memory_bytes", 2**10),
    "mib": ("memory_bytes", 2**20),
    "gib": ("memory_bytes", 2**30),
}
#: Amounts are below this, and whole ones below that, as records can hold them.
MOST, MOST_WHOLE = 1e100, 2**63
_AMOUNT = re.compile(r"([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]+)")


@dataclass(frozen=True)
class Budget:
    """What a run may spend; the first limit that is reached ends training. None is no limit.

    Attributes:
        seconds: training time on the device.
        steps: calls of `update`.
        epochs: passes over the training split.
        flops: floating-point operations of training, as counted on one step.
        memory_bytes: cap on the memory that a run takes on its device.
    """

    seconds: float | None = None
    steps: int | None = None
    epochs: float | None = None
    flops: float | None = None
    memory_bytes: int | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """The budget that `text` says.

        Raises:
            UsageError: it is malformed, has a limit twice, or limits only memory.
        """
        limits: dict[str, float] = {}
        for part in text.split(","):
            match = _AMOUNT.fullmatch(part.strip().lower())
            if match is None or match[2] not in _UNITS:
                raise UsageError(f"malformed budget '{part.strip()}': write {EXAMPLES}")
            name, factor = _UNITS[match[2]]
            try:
                amount = float(match[1]) * factor
            except ValueError:
                raise UsageError(f"malformed budget '{part.strip()}': '{match[1]}' is not a number") from None
            whole = name in ("steps", "memory_bytes")
            if not 0 < amount < (MOST_WHOLE if whole else MOST):
                raise UsageError(f"malformed budget '{part.strip()}': it must be above zero, finite and of sane size")
            if name in limits:
                raise UsageError(f"malformed budget '{text}': it limits {name} twice")
            if whole and amount != int(amount):
                raise UsageError(f"malformed budget '{part.strip()}': it must be a whole number")
            limits[name] = int(amount) if whole else amount
        if set(limits) <= {"memory_bytes"}:
            raise UsageError(f"budget '{text}' never ends: add a limit on time, steps, epochs or flops")
        return cls(**limits)  # type: ignore[arg-type]  # the numbers above are ints where the fields are

    def __str__(self) -> str:
        """The canonical text, which `parse` reads back."""
        parts = []
        for name, suffix in (("seconds", "s"), ("steps", "steps"), ("epochs", "epochs"), ("flops", "flop")):
            amount = getattr(self, name)
            if amount is not None:
                parts.append(f"{amount:.15g}{suffix}")
        if self.memory_bytes is not None:
            parts.append(f"{self.memory_bytes / 2**20:.15g}MiB")
        return ",".join(parts)

    def limits(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

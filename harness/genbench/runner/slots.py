"""Where runs run: every slot has its own share of the machine, so that none slows another down."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from genbench.errors import UsageError


@dataclass(frozen=True)
class Slot:
    """A share of the hardware that one run has for itself.

    Attributes:
        cores: the CPU cores that its threads may run on; none leaves them to the system.
        threads: how many threads it has; None leaves that to the system.
        environment: variables that its process gets on top of ours.
    """

    cores: tuple[int, ...] = ()
    threads: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


def available_cores() -> list[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def make_slots(jobs: int) -> list[Slot]:
    """`jobs` slots that share this machine's cores out evenly; one slot alone is left to the system.

    Raises:
        UsageError: there are fewer cores than jobs.
    """
    if jobs == 1:
        return [Slot()]
    cores = available_cores()
    if jobs > len(cores):
        raise UsageError(f"--jobs {jobs} is more than the {len(cores)} cores there are: runs never share one")
    each = len(cores) // jobs
    return [Slot(tuple(cores[job * each : (job + 1) * each]), each) for job in range(jobs)]

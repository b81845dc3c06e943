"""Where runs run: every slot has its own share of the machine, so that none slows another down."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from genbench.errors import UsageError
from genbench.plan.exchange import VisibleGpu


@dataclass(frozen=True)
class Slot:
    """A share of the hardware that one run has for itself.

    Attributes:
        cores: the CPU cores that its threads may run on; none leaves them to the system.
        threads: how many threads it has; None leaves that to the system.
        environment: variables that its process gets on top of ours.
        hardware: names of what a run with a budget in seconds must have for itself on this machine, also against the
            runs of other campaigns.
    """

    cores: tuple[int, ...] = ()
    threads: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    hardware: tuple[str, ...] = ()


def available_cores() -> list[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def make_slots(jobs: int | None, gpus: Sequence[VisibleGpu] = ()) -> list[Slot]:
    """Slots for `jobs` runs at a time on this machine: each has one of the `gpus` for itself, where there are any, and
    its even share of the cores. One slot alone has them all, and is left to the system.

    Args:
        jobs: None for one on each GPU, as far as there are cores for them, or one on the CPU.
        gpus: those that runs are to use; none for runs on the CPU.

    Raises:
        UsageError: there are fewer GPUs, or cores, than jobs.
    """
    cores = available_cores()
    count = jobs or max(min(len(gpus), len(cores)), 1)
    if gpus and count > len(gpus):
        raise UsageError(f"--jobs {jobs} is more than the {len(gpus)} GPUs there are: runs never share one")
    if count > len(cores):
        raise UsageError(f"--jobs {count} is more than the {len(cores)} cores there are: runs never share one")
    each = len(cores) // count
    shares = [tuple(cores[job * each : (job + 1) * each]) for job in range(count)]
    slots = [Slot(hardware=tuple(f"core-{core}" for core in share)) for share in shares]
    if count > 1:
        slots = [replace(slot, cores=share, threads=each) for slot, share in zip(slots, shares, strict=True)]
    if gpus:
        slots = [
            replace(slot, environment={"CUDA_VISIBLE_DEVICES": gpu.token}, hardware=(gpu.name,))
            for slot, gpu in zip(slots, gpus, strict=False)
        ]
    return slots

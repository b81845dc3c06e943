"""The contract of executors, which plugins offer through the hook `genbench_executors`: where a campaign's runs are
carried out. All of it is called in the parent process, by one thread, and imports no torch.

One that has no disk in common with the campaign needs only a `genbench.runner.remote.RemoteExecution` of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from genbench.plan.exchange import VisibleGpu
from genbench.plan.spec import RunSpec
from genbench.results.lock import HeldLock
from genbench.results.schema import Record
from genbench.results.store import Store
from genbench.runner.slots import Slot

__all__ = ["Execution", "Executor", "Job", "Limits", "Slot", "VisibleGpu"]


@dataclass(frozen=True)
class Limits:
    """How long a run may take over what no budget limits, in seconds of wall time.

    Attributes:
        setup: until training begins.
        silence: between two reports while it trains; at least `silence_factor` budgets of seconds.
        evaluation: from the end of training to the record.
        grace: from being asked to end to being killed.
    """

    setup: float = 1800.0
    silence: float = 120.0
    silence_factor: float = 2.0
    evaluation: float = 3600.0
    grace: float = 10.0


@dataclass(frozen=True)
class Job:
    """A run that is to be carried out.

    Attributes:
        slot: the share of the hardware that it has for itself.
        store: where its record goes.
        command: the command line, for the record.
        limits: how long it may take.
        lock: held by the campaign until the run has ended; a process that writes to the store holds it too.
    """

    spec: RunSpec
    slot: Slot
    store: Store
    command: list[str]
    limits: Limits
    lock: HeldLock

    @property
    def folder(self) -> Path:
        """The run's workspace: empty, or with the state that an earlier process has left, to go on from."""
        return self.store.workspace(self.spec.key)


class HasFileno(Protocol):
    """An object that can be waited on."""

    def fileno(self) -> int:
        """The file descriptor."""


class Execution(ABC):
    """A run under way.

    Attributes:
        connection: what the campaign waits on; readable when `events` has something to say, or when the run is over.
        ended: whether the run is over, well or not.
    """

    connection: Connection | HasFileno
    ended: bool = False

    @abstractmethod
    def events(self) -> Iterator[dict[str, Any]]:
        """What the run has reported since, as the hook `genbench_progress` gets it; sets `ended`.

        Never waits. Called twice a second even where the connection is silent, to end a run that overstays its limits.
        """

    @abstractmethod
    def record(self) -> Record:
        """The record of the run that has ended, in the store together with the run's files, or one that says why there
        is none. Never raises for what became of the run."""

    @abstractmethod
    def stop(self) -> None:
        """Free all that the run has; one that is not over is ended and leaves no record."""


class Executor(ABC):
    """Carries runs out. Made once for a campaign, and before anything is planned.

    Args:
        address: what `--address` says, None where it is not given.

    Raises:
        UsageError: the address makes no sense.
        GenbenchError: what it needs can't be reached.
    """

    @abstractmethod
    def __init__(self, address: str | None) -> None: ...

    @abstractmethod
    def slots(self, jobs: int | None, gpus: Sequence[VisibleGpu]) -> list[Slot]:
        """One slot for each of the `jobs` runs at a time. All have as many threads: it is part of the protocol.

        Args:
            jobs: None for as many as there are GPUs, or one where runs use the CPU.
            gpus: those of this machine that runs are to use, none where they use the CPU.

        Raises:
            UsageError: there is no room for so many.
        """

    @abstractmethod
    def start(self, job: Job) -> Execution:
        """Have a run carried out; returns at once."""

    def close(self) -> None:  # noqa: B027  # most hold nothing
        """The campaign is over; all executions are stopped."""

"""Carrying a plan out, each run by itself; whatever becomes of it, every run leaves a record and the others go on."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import Any, Protocol, get_args

import pluggy

from genbench.errors import UsageError, unknown
from genbench.plan.budget import Budget
from genbench.plan.spec import RunSpec
from genbench.results.lock import HeldLock, holder
from genbench.results.schema import Record, Status
from genbench.results.store import Store
from genbench.runner.anew import can_be_measured, to_measure
from genbench.runner.claim import Claim, claimed
from genbench.runner.executor import Execution, Executor, Job, Limits
from genbench.runner.lifecycle import Lifecycle
from genbench.runner.local import Local
from genbench.runner.running import unstarted, unwritable
from genbench.runner.slots import Slot
from genbench.runner.workspace import open_workspace

#: The reason of a run that is carried out although it need not be.
FORCED = "forced"
#: What `--retry` takes.
RETRY = ("failed", "none", *(status for status in get_args(Status) if status not in ("ok", "failed")))
#: Seconds between two looks at what is overdue, or at what another genbench has finished.
POLL = 0.5


class Display(Protocol):
    """Shows how a campaign goes."""

    def reused(self, spec: RunSpec, record: Record) -> None:
        """A finished record stands for this run."""

    def started(self, spec: RunSpec) -> None:
        """The run is being started."""

    def event(self, spec: RunSpec, event: dict[str, Any]) -> None:
        """The run reports."""

    def ended(self, spec: RunSpec, record: Record) -> None:
        """The run has ended, well or not."""

    def waiting(self, what: str) -> None:
        """Nothing can be started until another genbench has finished with `what`."""


@dataclass(frozen=True)
class RunOptions:
    """How a campaign is carried out; none of it changes a number.

    Attributes:
        force: finished runs are redone, from the start.
        resume: runs go on from what a killed process left of them.
        retry: the runs that ended badly which are redone: those with this status, or all (`"failed"`), or none
            (`"none"`).
        jobs: runs at a time, each with its own share of the hardware; None for one on each GPU, or one on the CPU.
        evaluation_limit: seconds that measuring one run may take.
        track: the names of trackers.
        executor: the name of what carries the runs out.
        address: where the executor finds its machines.
    """

    force: bool
    resume: bool
    retry: str
    jobs: int | None
    evaluation_limit: float
    track: str | Sequence[str]
    executor: str
    address: str | None


def make_options(
    force: bool = False,
    resume: bool = True,
    retry: str = "failed",
    jobs: int | None = None,
    evaluation_limit: str = "1h",
    track: str | Sequence[str] = (),
    executor: str = "local",
    address: str | None = None,
) -> RunOptions:
    """The options as a user gives them.

    Raises:
        UsageError: one is malformed, or no such value.
    """
    if retry not in RETRY:
        raise UsageError(f"--retry: {unknown('status', retry, RETRY)}")
    limit = Budget.parse(evaluation_limit)
    if limit.seconds is None or len(limit.limits()) > 1:
        raise UsageError(f"--evaluation-limit '{evaluation_limit}' is no time: write 30min, 600s, 2h")
    return RunOptions(force, resume, retry, jobs, limit.seconds, track, executor, address)


@dataclass(frozen=True)
class Decision:
    """What is done about a run: carried out, or its record reused; and why.

    Attributes:
        resume: whether a run that is carried out goes on from what a killed process left of it.
    """

    spec: RunSpec
    reused: Record | None
    reason: str
    resume: bool = True


def decide(runs: Iterable[RunSpec], store: Store, options: RunOptions) -> list[Decision]:
    """What is done about each run: finished records are reused, what failed or is missing is carried out."""
    return [_decide(spec, store, options) for spec in runs]


def _decide(spec: RunSpec, store: Store, options: RunOptions) -> Decision:
    record = store.read(spec.key)
    if record is None:
        return Decision(spec, None, "new", options.resume)
    if not isinstance(record, Record):
        return Decision(spec, None, f"its record is {record.reason}", options.resume)
    if options.force:
        return Decision(spec, None, FORCED, resume=False)
    if record.status != "ok":
        if options.retry not in ("failed", record.status):
            return Decision(spec, record, f"it ended as {record.status}, which is not to be retried")
        return Decision(spec, None, f"it ended as {record.status} before", options.resume)
    if missing := to_measure(spec, record, options.retry):
        if can_be_measured(record, store):
            return Decision(replace(spec, measure=missing), None, f"only measured: {', '.join(missing)}")
        return Decision(spec, None, f"it has no checkpoint to measure {', '.join(missing)} from", options.resume)
    finished = record.provenance.get("date", "at an unknown time")
    return Decision(spec, record, f"same spec, plugin and data finished {finished}")


def carry_out(
    decisions: Iterable[Decision],
    store: Store,
    executor: Executor,
    display: Display,
    hooks: pluggy.HookRelay,
    command: list[str],
    slots: Iterable[Slot],
    limits: Limits,
) -> list[Record]:
    """The records of all runs, in order; those that are not reused are carried out, one in every slot at a time.

    Runs that another genbench is working on come last; once it has finished them, their records are reused.

    Raises:
        KeyboardInterrupt: the runs under way are ended and leave no record; those that are finished stay.
    """
    campaign = _Campaign(list(decisions), store, executor, display, hooks, command, list(slots), limits)
    try:
        return campaign.carry_out()
    finally:
        campaign.stop()


class _Campaign:
    def __init__(
        self,
        decisions: list[Decision],
        store: Store,
        executor: Executor,
        display: Display,
        hooks: pluggy.HookRelay,
        command: list[str],
        slots: list[Slot],
        limits: Limits,
    ) -> None:
        self.decisions = decisions
        self.store = store
        self.executor = executor
        self.display = display
        self.lifecycle = Lifecycle(hooks)
        self.command = command
        self.limits = limits
        self.free = deque(slots)
        self.running: dict[int, tuple[Job, Execution, Claim]] = {}
        self.records: dict[int, Record] = {}
        self.lacking = ""

    def carry_out(self) -> list[Record]:
        """All records, in the order of the decisions."""
        waiting: deque[int] = deque()
        for place, decision in enumerate(self.decisions):
            if decision.reused is None:
                waiting.append(place)
            else:
                self.reuse(place, decision.reused)
        said = ""
        while waiting or self.running:
            for _ in range(len(waiting)):
                if not self.free:
                    break
                place = waiting.popleft()
                if not self.start(place):
                    waiting.append(place)
            if self.running:
                self.follow()
            elif waiting:
                if said != self.lacking:
                    self.display.waiting(self.lacking)
                    said = self.lacking
                time.sleep(POLL)
        return [self.records[place] for place in range(len(self.decisions))]

    def reuse(self, place: int, record: Record) -> None:
        """A finished record stands for a run."""
        self.display.reused(self.decisions[place].spec, record)
        self.records[place] = record

    def start(self, place: int) -> bool:
        """Start a run, unless another genbench is working on it or has the hardware; returns whether there is nothing
        left to start."""
        decision = self.decisions[place]
        spec = decision.spec
        try:
            lock = HeldLock.take(self.store.lock(spec.key), out=self.store.out)
        except OSError as error:
            self.refuse(place, error)
            return True
        if lock is None:
            self.lacking = f"the run of {spec.title}{holder(self.store.lock(spec.key))}"
            return False
        record = None if decision.reason == FORCED else finished(self.store, spec.key)
        if record is not None:
            missing = _still_missing(spec, record)
            if not missing:
                lock.release()
                self.reuse(place, record)
                return True
            if can_be_measured(record, self.store):
                spec = replace(spec, measure=missing)
        if (found := self.claim(spec)) is None:
            lock.release()
            return False
        slot, claim = found
        try:
            open_workspace(self.store, spec.key, decision.resume, keep=bool(spec.measure))
        except OSError as error:
            lock.release()
            claim.release()
            self.refuse(place, error)
            return True
        self.free.remove(slot)
        self.display.started(spec)
        self.lifecycle.tell("genbench_run_start", spec=spec)
        job = Job(spec, slot, self.store, self.command, self.limits, lock)
        try:
            executor = Local() if spec.measure else self.executor  # the checkpoint lies on this machine
            self.running[place] = (job, executor.start(job), claim)
        except Exception as error:
            self.release(job, claim)
            self.end(place, unstarted(job, error))
        return True

    def release(self, job: Job, claim: Claim) -> None:
        """Others may have what a run has used."""
        job.lock.release()
        claim.release()
        self.free.append(job.slot)

    def claim(self, spec: RunSpec) -> tuple[Slot, Claim] | None:
        """A free slot whose hardware no other campaign has, or has only under budgets that don't mind."""
        shared = Budget.parse(spec.budget).seconds is None
        for slot in self.free:
            if (claim := Claim.take(slot.hardware, shared=shared, out=self.store.out)) is not None:
                return slot, claim
        self.lacking = " and ".join(claimed(slot.hardware) for slot in self.free)
        return None

    def refuse(self, place: int, error: OSError) -> None:
        """A run has no place to be written to."""
        spec = self.decisions[place].spec
        self.display.started(spec)
        self.end(place, unwritable(spec, error))

    def follow(self) -> None:
        """Hear what runs report, and take in the records of those that have ended."""
        wait([execution.connection.fileno() for _, execution, _ in self.running.values()], POLL)
        for place, (job, execution, claim) in list(self.running.items()):
            try:
                for event in execution.events():
                    self.display.event(job.spec, event)
                    self.lifecycle.tell("genbench_progress", spec=job.spec, event=event)
                if not execution.ended:
                    continue
                record = execution.record()
            except Exception as error:  # of the executor, which may be a plugin's
                with contextlib.suppress(Exception):
                    execution.stop()
                record = unstarted(job, error)
            del self.running[place]
            self.release(job, claim)
            self.end(place, record)

    def end(self, place: int, record: Record) -> None:
        """A run has ended, well or not."""
        self.records[place] = record
        self.display.ended(self.decisions[place].spec, record)
        self.lifecycle.tell("genbench_run_end", record=record)

    def stop(self) -> None:
        """End what is still running, without a record."""
        for job, execution, claim in self.running.values():
            with contextlib.suppress(Exception):  # of one executor's run; the others are ended too
                execution.stop()
            self.release(job, claim)


def _still_missing(spec: RunSpec, record: Record) -> tuple[str, ...]:
    """The metrics that a run lacks which another genbench may have finished, or measured, since it was planned."""
    if not spec.measure:
        return to_measure(spec, record, retry="none")
    missing = to_measure(spec, record)
    return tuple(name for name in spec.measure if name in missing)


def finished(store: Store, key: str) -> Record | None:
    """The record of a run that is ok, if there is one."""
    record = store.read(key)
    return record if isinstance(record, Record) and record.status == "ok" else None

"""A run on this machine, as its parent sees it: what it reports, whether it overstays, what record it leaves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from genbench.plain import error_text
from genbench.plan.budget import Budget
from genbench.plan.spec import RunSpec
from genbench.processes import exit_text
from genbench.results.schema import CurvePoint, Failure, Record, Status
from genbench.results.store import record_text, write_atomically
from genbench.runner.anew import not_measured
from genbench.runner.draft import Draft, log_tail
from genbench.runner.executor import Execution, Job
from genbench.runner.wire import Inbox, Unreadable, read_event
from genbench.runner.workers import Worker


class Running(Execution):
    """A run's worker process and what it has reported.

    Args:
        job: the run.
        worker: its process.
        earlier: identifies the record file that the run found, as `Store.identity` gives it.
    """

    def __init__(self, job: Job, worker: Worker, earlier: tuple[int, ...] | None) -> None:
        self.job = job
        self.worker = worker
        self.earlier = earlier
        self.connection: Inbox = worker.inbox
        self.draft = Draft(job.spec)
        self.phase = "setup"
        seconds = Budget.parse(job.spec.budget).seconds or 0.0
        self._silence = max(job.limits.silence, job.limits.silence_factor * seconds)
        self._heard = self._entered = time.monotonic()
        self._asked: float | None = None
        self._ignored = False
        self._unreadable: str | None = None

    def events(self) -> Iterator[dict[str, Any]]:
        try:
            for line in self.connection.lines():
                event = read_event(line)
                self._heard = time.monotonic()
                if event["phase"] == "end":
                    self.ended = True
                    return
                if event["phase"] == "curve":
                    self.draft.reach(CurvePoint(**event["point"]))
                    self.draft.timing |= event["timing"]
                else:
                    if event["phase"] != self.phase:
                        self.phase, self._entered = event["phase"], self._heard
                    if "seconds" in event:
                        self.draft.use_event(event)
                yield event
        except Unreadable as error:
            self._unreadable = str(error)
            self.ended = True
        self.ended = self.ended or self.connection.closed
        self.watch()

    def watch(self) -> None:
        """Look at the process: ask a run that overstays to end, and kill one that was asked and does not."""
        if self.ended:
            return
        self.draft.memory_bytes = self.worker.memory() or self.draft.memory_bytes
        now = time.monotonic()
        if self._asked is not None:
            self.ended = self._ignored = now - self._asked > self.job.limits.grace
        elif self._overdue(now):
            self._asked = now
            self.worker.ask_to_end()

    def record(self) -> Record:
        """The record that the worker has published, or else one of what it had reported, published by us."""
        store, folder = self.job.store, self.job.folder
        if self._unreadable is None and not self._ignored:
            self.worker.wait(self.job.limits.grace)  # all is said, or the wire was closed
        self.worker.stop()
        try:
            published = store.identity(self.job.spec.key) != self.earlier
            if published and isinstance(record := store.read(self.job.spec.key), Record):
                return record
            spec = self.job.spec
            if spec.measure and isinstance(record := store.read(spec.key), Record):
                return _left(self.job, record, self._failure().message)
            self.draft.collect_artifacts(folder)
            self.draft.error = self._failure()
            status: Status = "timeout" if self._asked is not None else "killed"
            record = self.draft.finish("failed" if self._unreadable is not None else status)
            store.publish(record)
        except OSError as error:
            return unwritable(self.job.spec, error)
        return record

    def stop(self) -> None:
        self.worker.stop()

    def _overdue(self, now: float) -> bool:
        if self.phase == "training":
            return now - self._heard > self._silence
        return now - self._entered > (self.job.limits.setup if self.phase == "setup" else self.job.limits.evaluation)

    def _failure(self) -> Failure:
        code = self.worker.exitcode
        common: dict[str, Any] = {
            "phase": self.phase,
            "memory_bytes": self.draft.memory_bytes,
            "log_tail": log_tail(self.job.folder / "log.txt"),
        }
        if self._unreadable is not None:
            message = f"something in the run wrote to its connection to the campaign: {self._unreadable}"
            return Failure(type="Unreadable", message=message, **common)
        if self._asked is not None:
            what = "it reported nothing for too long" if self.phase == "training" else f"its {self.phase} took too long"
            return Failure(type="Overstayed", message=f"{what}, and it had to be killed", **common)
        words = exit_text(code)
        killed = code is not None and code < 0
        return Failure(
            type="Killed" if killed else "Exited",
            message=f"its process ended without a record: {words}",
            signal=words.removeprefix("killed by ") if killed else None,
            exit_code=code,
            **common,
        )


def unwritable(spec: RunSpec, error: OSError) -> Record:
    """The record, which can't be kept, of a run that has no place to be written to."""
    draft = Draft(spec)
    draft.fail(error, "setup")
    return draft.finish("failed")


def unstarted(job: Job, error: Exception) -> Record:
    """The record of a run whose executor raised, in the store if it can be written."""
    if job.spec.measure and isinstance(finished := job.store.read(job.spec.key), Record):
        return _left(job, finished, error_text(error))
    draft = Draft(job.spec)
    draft.fail(error, "setup")
    record = draft.finish("failed")
    with contextlib.suppress(OSError):
        job.store.publish(record)
    return record


def _left(job: Job, finished: Record, reason: str) -> Record:
    """The record of a finished run that could not be measured again, with the reason, in place of the one it has."""
    record = not_measured(finished, job.spec, reason)
    with contextlib.suppress(OSError):
        write_atomically(job.store.path(record.key), record_text(record))
    return record

"""A run on this machine, as its parent sees it: what it reports, whether it overstays, what record it leaves."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import psutil

from genbench.plan.budget import Budget
from genbench.plan.spec import RunSpec
from genbench.results.schema import CurvePoint, Failure, Record, Status
from genbench.runner.draft import Draft, log_tail
from genbench.runner.executor import Execution, Job
from genbench.runner.workers import OVERSTAYED, Worker, exit_text


class Running(Execution):
    """A run's worker process and what it has reported."""

    def __init__(self, job: Job, worker: Worker) -> None:
        self.job = job
        self.worker = worker
        self.connection = worker.connection
        self.draft = Draft(job.spec)
        self.phase = "setup"
        seconds = Budget.parse(job.spec.budget).seconds or 0.0
        self._silence = max(job.limits.silence, job.limits.silence_factor * seconds)
        self._heard = self._entered = time.monotonic()
        self._asked: float | None = None

    def events(self) -> Iterator[dict[str, Any]]:
        try:
            while not self.ended and self.connection.poll(0):
                event = self.connection.recv()
                self._heard = time.monotonic()
                if event["phase"] == "end":
                    self.ended = True
                elif event["phase"] == "curve":
                    self.draft.reach(CurvePoint(**event["point"]))
                    self.draft.timing |= event["timing"]
                    yield event
                else:
                    if event["phase"] != self.phase:
                        self.phase, self._entered = event["phase"], self._heard
                    if "seconds" in event:
                        self.draft.use_event(event)
                    yield event
        except (EOFError, OSError):
            self.ended = True
        self.watch()

    def watch(self) -> None:
        """Look at the process: ask a run that overstays to end, and kill one that was asked and does not."""
        if self.ended:
            return
        with contextlib.suppress(psutil.Error):  # it may be gone by now
            memory = psutil.Process(self.worker.process.pid).memory_info().rss
            self.draft.memory_bytes = memory or self.draft.memory_bytes
        if not self.worker.process.is_alive() and not self.connection.poll(0):
            self.ended = True  # although a process that it has started may hold the connection open
            return
        now = time.monotonic()
        if self._asked is not None:
            if now - self._asked > self.job.limits.grace:
                self.worker.process.kill()
        elif self._overdue(now):
            self._asked = now
            if self.worker.process.pid is not None:
                os.kill(self.worker.process.pid, OVERSTAYED)

    def record(self) -> Record:
        """The record that the worker has published, or else one of what it had reported, published by us."""
        store, folder = self.job.store, self.job.folder
        self.worker.process.join(self.job.limits.grace)
        self.worker.stop()
        try:
            if not folder.exists() and isinstance(record := store.read(self.job.spec.key), Record):
                return record
            self.draft.collect_artifacts(folder)
            self.draft.error = self._failure()
            status: Status = "timeout" if self._asked is not None else "killed"
            record = self.draft.finish(status)
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
        code = self.worker.process.exitcode
        common: dict[str, Any] = {
            "phase": self.phase,
            "memory_bytes": self.draft.memory_bytes,
            "log_tail": log_tail(self.job.folder / "log.txt"),
        }
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

"""Carrying a plan out, one process a run; whatever becomes of it, every run leaves a record and the others go on."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pluggy

from genbench.plan.budget import Budget
from genbench.plan.spec import RunSpec
from genbench.results.schema import CurvePoint, Failure, Record, Status
from genbench.results.store import Store
from genbench.runner.draft import Draft, log_tail
from genbench.runner.workers import Worker, Workers, exit_text

#: A training run that reports nothing for this long hangs: seconds, or this many times its budget of seconds.
SILENCE_SECONDS, SILENCE_FACTOR = 120.0, 2.0
POLL = 0.5


class Display(Protocol):
    """Shows how a campaign goes."""

    def reused(self, spec: RunSpec, record: Record) -> None:
        """A finished record stands for this run."""

    def started(self, spec: RunSpec) -> None:
        """The run's process is being started."""

    def event(self, spec: RunSpec, event: dict[str, Any]) -> None:
        """The run reports."""

    def ended(self, spec: RunSpec, record: Record) -> None:
        """The run has ended, well or not."""


@dataclass(frozen=True)
class Decision:
    """What is done about a run: carried out, or its record reused; and why."""

    spec: RunSpec
    reused: Record | None
    reason: str


def decide(runs: Iterable[RunSpec], store: Store, force: bool) -> list[Decision]:
    """What is done about each run: finished records are reused, what failed or is missing is carried out."""
    return [_decide(spec, store, force) for spec in runs]


def _decide(spec: RunSpec, store: Store, force: bool) -> Decision:
    record = store.read(spec.key)
    if record is None:
        return Decision(spec, None, "new")
    if not isinstance(record, Record):
        return Decision(spec, None, f"its record is {record.reason}")
    if record.status != "ok":
        return Decision(spec, None, f"it ended as {record.status} before")
    if force:
        return Decision(spec, None, "forced")
    finished = record.provenance.get("date", "at an unknown time")
    return Decision(spec, record, f"same spec, plugin and data finished {finished}")


def carry_out(
    decisions: Iterable[Decision],
    store: Store,
    workers: Workers,
    display: Display,
    hooks: pluggy.HookRelay,
    command: list[str],
) -> list[Record]:
    """The records of all runs, in order; those that are not reused are carried out one after the other.

    Raises:
        KeyboardInterrupt: the run under way is ended and leaves no record; those that are finished stay.
    """
    records = []
    for decision in decisions:
        spec = decision.spec
        if decision.reused is not None:
            display.reused(spec, decision.reused)
            records.append(decision.reused)
            continue
        display.started(spec)
        _tell(hooks.genbench_run_start, spec=spec)
        record = _run(spec, store, workers, display, hooks, command)
        display.ended(spec, record)
        _tell(hooks.genbench_run_end, record=record)
        records.append(record)
    return records


def _run(
    spec: RunSpec, store: Store, workers: Workers, display: Display, hooks: pluggy.HookRelay, command: list[str]
) -> Record:
    folder = store.workspace(spec.key)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    draft = Draft(spec)
    worker = workers.start("genbench.runner.worker:run", spec, store.out, command, log=log)
    try:
        phase = _follow(worker, spec, draft, display, hooks)
    finally:
        worker.stop()
    if not folder.exists():  # the worker has published its record
        record = store.read(spec.key)
        if isinstance(record, Record):
            return record
    draft.collect_artifacts(folder)
    draft.error = _death(worker, phase, log)
    status: Status = "timeout" if phase == "silence" else "killed"
    record = draft.finish(status)
    store.publish(record)
    return record


def _follow(worker: Worker, spec: RunSpec, draft: Draft, display: Display, hooks: pluggy.HookRelay) -> str:
    """Receive a worker's events until it ends or hangs; returns the phase it was in, `"silence"` where it hung."""
    phase, heard = "setup", time.monotonic()
    limit = max(SILENCE_SECONDS, SILENCE_FACTOR * (Budget.parse(spec.budget).seconds or 0.0))
    while True:
        try:
            if not worker.connection.poll(POLL):
                if phase == "training" and time.monotonic() - heard > limit:
                    return "silence"
                if not worker.process.is_alive() and not worker.connection.poll(0):
                    return phase
                continue
            event = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            return phase
        heard = time.monotonic()
        if event["phase"] == "end":
            worker.process.join()
            return phase
        if event["phase"] == "curve":
            draft.curve.append(CurvePoint.model_validate(event["point"]))
            continue
        phase = event["phase"]
        if "seconds" in event:
            draft.use_event(event)
        display.event(spec, event)
        _tell(hooks.genbench_progress, spec=spec, event=event)


def _death(worker: Worker, phase: str, log: Path) -> Failure:
    code = worker.process.exitcode
    tail = log_tail(log)
    if phase == "silence":
        return Failure(phase="training", type="Timeout", message="it reported nothing for too long", log_tail=tail)
    words = exit_text(code)
    return Failure(
        phase=phase,
        type="Killed" if code is not None and code < 0 else "Exited",
        message=f"its process ended without a record: {words}",
        signal=words.removeprefix("killed by ") if code is not None and code < 0 else None,
        exit_code=code,
        log_tail=tail,
    )


def _tell(hook: Callable[..., Any], **arguments: Any) -> None:
    """Call a lifecycle hook; one that raises is a warning, not the end of the campaign."""
    try:
        hook(**arguments)
    except Exception as error:
        warnings.warn(f"a plugin's lifecycle hook failed: {type(error).__name__}: {error}", stacklevel=2)

"""One run from specification to record, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_model

from genbench.errors import GenbenchError
from genbench.metrics.base import Metric, Subject
from genbench.model import Model, Sampler
from genbench.plan.budget import Budget
from genbench.plan.prepare import capabilities
from genbench.plan.spec import RunSpec
from genbench.plugins.catalogue import import_target
from genbench.plugins.local import import_file
from genbench.results.lock import HeldLock
from genbench.results.schema import CurvePoint, Status, Value
from genbench.results.store import Store
from genbench.runner.arithmetic import use_tf32
from genbench.runner.clock import BudgetClock
from genbench.runner.draft import ARTIFACTS, RESUME, Draft
from genbench.runner.gallery import save_gallery
from genbench.runner.loop import HEARTBEAT, Diverged, train
from genbench.runner.measure import measure, measure_quickly, quick_metrics
from genbench.runner.memory import Memory
from genbench.runner.provenance import provenance
from genbench.runner.reference_rows import reference_row
from genbench.runner.resume import load_state, save_state
from genbench.runner.subject import load_dataset, make_subject
from genbench.runner.workers import OVERSTAYED
from genbench.runner.workspace import forget_state, set_state_aside

#: What torch says where the CPU's memory is used up.
NO_MEMORY = ("can't allocate memory", "not enough memory", "Cannot allocate memory")


class Overstayed(BaseException):
    """The parent says that this run has taken too long. No `Exception`, so that no model or metric takes it for one."""


def run(connection: Connection, spec: RunSpec, out: Path, command: list[str], lock: HeldLock) -> None:
    """Carry a run out and write its record; every event is sent on the connection.

    A run that fails leaves a record that says so. The last event, `{"phase": "end"}`, says that a record is written.
    `OVERSTAYED` ends the run where it is, with a record of what was reached. `lock` is held for as long as this
    process lives, which is not for long when its parent is gone.
    """
    threading.Thread(target=_die_with_parent, args=(connection,), daemon=True).start()
    signal.signal(OVERSTAYED, _overstayed)
    draft = Draft(spec)
    worker = _Run(spec, Store(out), connection, draft, command)
    try:
        worker.carry_out()
        status: Status = "ok"
    except BrokenPipeError:
        raise
    except (Exception, Overstayed) as error:
        signal.signal(OVERSTAYED, signal.SIG_IGN)
        traceback.print_exc()
        status = _status(error)
        draft.fail(error, worker.phase)
        draft.collect_artifacts(worker.folder)
    worker.store.publish(draft.finish(status))
    if status == "ok":
        forget_state(worker.store, spec.key)
    connection.send({"phase": "end"})
    lock.release()


def _die_with_parent(connection: Connection) -> None:
    """Nothing is ever sent to a run: its end of the connection only becomes readable when the parent is gone."""
    with contextlib.suppress(OSError):
        connection.poll(None)
    os.killpg(0, signal.SIGKILL)  # this process, and what the model or the dataset has started


def _overstayed(_signal: int, _frame: FrameType | None) -> None:
    raise Overstayed("it was still at it when its time was up")


def _status(error: BaseException) -> Status:
    if isinstance(error, Overstayed):
        return "timeout"
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(text in str(error) for text in NO_MEMORY):
        return "out_of_memory"
    return "failed"


class _Run:
    def __init__(self, spec: RunSpec, store: Store, connection: Connection, draft: Draft, command: list[str]) -> None:
        self.spec = spec
        self.store = store
        self.connection = connection
        self.draft = draft
        self.command = command
        self.folder = store.workspace(spec.key)
        self.phase = "setup"
        self.clock: BudgetClock | None = None
        self.in_loop = 0.0
        self.off_clock_before = 0.0

    def carry_out(self) -> None:
        """Set up, train, measure."""
        started = time.perf_counter()
        self.enter("setup")
        spec, draft = self.spec, self.draft
        for path in spec.files:
            import_file(Path(path))
        device = torch.device(spec.device)
        use_tf32(False)
        draft.provenance |= provenance(spec, self.command)
        dataset = load_dataset(spec.dataset_target, spec.dataset_config, spec.view)
        if dataset.fingerprint != spec.fingerprint:
            now = f"fingerprint {dataset.fingerprint}, planned with {spec.fingerprint}"
            raise GenbenchError(f"the data of {spec.data} is not what it was when the run was planned: {now}")
        metrics = {name: self.metric(name) for name in spec.metrics}
        budget = Budget.parse(spec.budget)
        memory = Memory(device, budget.memory_bytes)
        _seed_everything(spec.seed)
        subject = make_subject(dataset, device, spec.seed, self.folder)
        draft.timing["setup"] = time.perf_counter() - started
        if spec.is_reference:
            subject.model = reference_row(spec.model, dataset.spec, subject.train, subject.test)
            draft.capabilities = ["Sampler"]
            metrics = {name: metric for name, metric in metrics.items() if Sampler in metric.requires}
        else:
            self.train(subject, metrics, budget, memory, started)
        self.evaluate(subject, metrics)

    def metric(self, name: str) -> Metric:
        """A metric with the options of this run."""
        cls = import_target(self.spec.metric_targets[name], Metric)
        return cls(cls.Config.model_validate(self.spec.metrics[name]))

    def train(
        self, subject: Subject, metrics: dict[str, Metric], budget: Budget, memory: Memory, started: float
    ) -> None:
        """Build the model and train it; `subject` then holds it."""
        spec, draft = self.spec, self.draft
        cls = import_target(spec.target, Model)
        draft.capabilities = capabilities(cls)
        cls.check_data(subject.data)
        model = cls(subject.data, cls.Config.model_validate(spec.config)).to(subject.device)
        subject.model = model
        quick = quick_metrics(metrics)
        self.enter("training")
        self.in_loop = time.perf_counter()
        draft.timing["setup"] = self.in_loop - started
        try:
            trained = train(
                model,
                subject.train,
                subject.validation,
                budget,
                seed=spec.seed,
                precision=spec.precision,
                compiled=spec.compile,
                select=spec.select,
                emit=self.emit,
                quick=lambda _: measure_quickly(subject, quick),
                keep=self.keep,
                begin=self.begin,
                save=self.save,
                saved=self.saved(),
            )
        finally:
            self.account()
        clock = trained.clock
        draft.use(clock, memory.peak())
        draft.selected = trained.selected
        subject.training = {
            "images_per_s": clock.images_per_s if model.batch_size is not None else None,
            "flops_per_image": trained.flops_per_image,
            "peak_memory_bytes": memory.peak(),
        }
        save_model(model, str(self.folder / ARTIFACTS["checkpoint"]))

    def evaluate(self, subject: Subject, metrics: dict[str, Metric]) -> None:
        """Measure and save pictures."""
        self.enter("evaluation")
        started = time.perf_counter()

        def begin(metric: str) -> None:
            self.enter("evaluation", metric=metric)
            subject.progress = self.reporter(metric)

        for found in measure(subject, metrics, self.spec.protocol, begin):
            if isinstance(found, Value):
                self.draft.metrics.append(found)
            else:
                self.draft.unmeasured.append(found)
        save_gallery(subject, self.folder)
        set_state_aside(self.store, self.spec.key)
        self.draft.collect_artifacts(self.folder)
        self.draft.timing["evaluation"] = time.perf_counter() - started

    def begin(self, clock: BudgetClock) -> None:
        """Training begins on this clock."""
        self.clock = clock

    def account(self) -> None:
        """Take over what training took, however it ended."""
        if self.clock is not None:
            self.clock.break_off()
            self.draft.timing |= self.clock.timing() | {"training": self.clock.seconds, "curve": self.off_clock()}

    def off_clock(self) -> float:
        """Seconds in the training loop that the clock did not count, also in earlier processes of this run."""
        assert self.clock is not None  # the loop has begun
        return self.off_clock_before + time.perf_counter() - self.in_loop - self.clock.seconds_here

    @property
    def identity(self) -> str:
        """What must agree before training goes on from a saved state."""
        return f"{self.spec.key} {self.spec.protocol_hash}"

    def save(self, state: dict[str, Any]) -> None:
        """Keep what training can go on from; a disk that is full costs no more than that."""
        try:
            save_state(self.folder / RESUME, state | {"off_clock": self.off_clock()}, self.identity)
        except OSError as error:
            print(f"could not save the state at step {state['clock']['steps']}: {error}")

    def saved(self) -> dict[str, Any] | None:
        """The state that an earlier process of this run left, if one did; a bad one is named in the log and ignored."""
        path = self.folder / RESUME
        if not path.exists():
            return None
        try:
            state = load_state(path, self.identity)
        except GenbenchError as error:
            print(f"starting over: {error}")
            path.unlink()
            return None
        self.off_clock_before = state["off_clock"]
        self.draft.provenance["resumed"] = state["clock"]["steps"]
        print(f"going on after step {state['clock']['steps']}")
        return state

    def emit(self, event: dict[str, Any]) -> None:
        """Tell the parent how far training is; it keeps the last event, for the record of a run that says no more."""
        self.draft.use_event(event)
        self.connection.send(event)

    def keep(self, point: CurvePoint) -> None:
        """A point of the curve: it stands in the record whatever comes, and the parent has it too."""
        assert self.clock is not None  # as above
        self.draft.reach(point)
        self.connection.send({"phase": "curve", "point": asdict(point), "timing": self.clock.timing()})

    def reporter(self, metric: str) -> Callable[[float], None]:
        """Tells the parent how far a metric is, a few times a second at most."""
        last = time.monotonic()

        def report(fraction: float) -> None:
            nonlocal last
            if time.monotonic() - last >= HEARTBEAT:
                last = time.monotonic()
                self.connection.send({"phase": "evaluation", "metric": metric, "done": fraction})

        return report

    def enter(self, phase: str, **more: Any) -> None:
        """Say that a phase begins."""
        self.phase = phase
        self.connection.send({"phase": phase, **more})


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)

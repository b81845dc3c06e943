"""One run from specification to record, in a process of its own."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from genbench import clocks
from genbench.contained import contained
from genbench.errors import GenbenchError
from genbench.metrics.base import Metric, Subject
from genbench.model import Model, Sampler
from genbench.plain import error_message, error_text, plain_number
from genbench.plan.budget import Budget
from genbench.plan.prepare import capabilities
from genbench.plan.spec import RunSpec
from genbench.plugins.catalogue import import_target
from genbench.plugins.local import import_file
from genbench.results.schema import CurvePoint, Record, Status, Value
from genbench.results.store import Store
from genbench.runner.anew import not_measured, training
from genbench.runner.arithmetic import use_tf32
from genbench.runner.checkpoint import load_weights, save_weights
from genbench.runner.clock import BudgetClock
from genbench.runner.draft import ARTIFACTS, RESUME, Draft
from genbench.runner.gallery import save_gallery
from genbench.runner.log import say, say_traceback
from genbench.runner.loop import HEARTBEAT, Diverged, StateRefused, Trained, train
from genbench.runner.measure import measure, measure_quickly, quick_metrics, unmeasured
from genbench.runner.memory import Memory
from genbench.runner.overstayed import Overstayed
from genbench.runner.provenance import provenance
from genbench.runner.reference_rows import reference_row
from genbench.runner.resume import load_state, save_state
from genbench.runner.subject import load_dataset, make_subject
from genbench.runner.supervisor import OVERSTAYED
from genbench.runner.wire import ParentGone, Wire
from genbench.runner.workspace import forget_state, set_state_aside

#: What torch says where memory is used up, if it has no class for it: the CPU's, and a GPU's that others have filled.
NO_MEMORY = (
    *("can't allocate memory", "not enough memory", "Cannot allocate memory"),
    *("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
)


def run(wire: Wire, spec: RunSpec, out: Path, command: list[str]) -> None:
    """Carry a run out and write its record; every event is sent on the wire.

    A run that fails leaves a record that says so. The last event, `{"phase": "end"}`, says that a record is written.
    `OVERSTAYED` ends the run where it is, with a record of what was reached.
    """
    signal.signal(OVERSTAYED, _overstayed)
    draft = Draft(spec)
    worker = _Run(spec, Store(out), wire, draft, command)
    if spec.measure:
        _measure_anew(worker)
        return
    try:
        worker.carry_out()
        status: Status = "ok"
    except ParentGone:
        raise
    except BaseException as error:  # also what a model raises to end its process
        signal.signal(OVERSTAYED, signal.SIG_IGN)
        say_traceback(error)
        status = _status(error)
        draft.fail(error, worker.phase)
        draft.collect_artifacts(worker.folder)
    worker.store.publish(draft.finish(status))
    if status == "ok":
        forget_state(worker.store, spec.key)
    with contextlib.suppress(ConnectionError):  # the record says it
        wire.send({"phase": "end"})


def _measure_anew(worker: _Run) -> None:
    """Publish the record of a finished run with what is measured again; where that fails, with the reason beside the
    numbers that it has."""
    store, spec = worker.store, worker.spec
    record = store.read(spec.key)
    assert isinstance(record, Record)  # the campaign has read it
    try:
        worker.measure_anew(record)
        found = worker.draft.finish("ok")
    except ParentGone:
        raise
    except BaseException as error:  # as above
        signal.signal(OVERSTAYED, signal.SIG_IGN)
        say_traceback(error)
        found = not_measured(record, spec, error_text(error))
    store.publish(found)
    with contextlib.suppress(ConnectionError):  # as above
        worker.wire.send({"phase": "end"})


def _overstayed(_signal: int, _frame: FrameType | None) -> None:
    raise Overstayed("it was still at it when its time was up")


def _status(error: BaseException) -> Status:
    if isinstance(error, Overstayed):
        return "timeout"
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        text in error_message(error) for text in NO_MEMORY
    ):
        return "out_of_memory"
    return "failed"


class _Run:
    def __init__(self, spec: RunSpec, store: Store, wire: Wire, draft: Draft, command: list[str]) -> None:
        self.spec = spec
        self.store = store
        self.wire = wire
        self.draft = draft
        self.command = command
        self.folder = store.workspace(spec.key)
        self.phase = "setup"
        self.clock: BudgetClock | None = None
        self.in_loop = 0.0
        self.said_of_state = ""
        self.off_clock_before = 0.0

    def carry_out(self) -> None:
        """Set up, train, measure."""
        started = clocks.perf_counter()
        spec, draft = self.spec, self.draft
        subject, metrics = self.set_up(tuple(spec.metrics))
        budget = Budget.parse(spec.budget)
        memory = Memory(subject.device, budget.memory_bytes)
        draft.timing["setup"] = clocks.perf_counter() - started
        if spec.is_reference:
            self.take_reference_row(subject)
        else:
            self.train(subject, metrics, budget, memory, started)
        self.evaluate(subject, metrics)

    def set_up(self, names: Sequence[str]) -> tuple[Subject, dict[str, Metric]]:
        """The data, as a subject without a model, and the metrics of these names.

        Raises:
            GenbenchError: the data can't be had, or are not what they were.
        """
        self.enter("setup")
        spec = self.spec
        with contained():  # paths of data may be relative
            for path in spec.files:
                import_file(Path(path))
        device = torch.device(spec.device)
        use_tf32(False)
        self.draft.provenance |= provenance(spec, self.command)
        dataset = load_dataset(spec.data, spec.dataset_target, spec.dataset_config, spec.view)
        if dataset.fingerprint != spec.fingerprint:
            now = f"fingerprint {dataset.fingerprint}, planned with {spec.fingerprint}"
            raise GenbenchError(f"the data of {spec.data} is not what it was when the run was planned: {now}")
        metrics = self.metrics(names)
        if spec.is_reference:
            metrics = {name: metric for name, metric in metrics.items() if Sampler in metric.requires}
        _seed_everything(spec.seed)
        return make_subject(dataset, device, spec.seed, self.folder), metrics

    def take_reference_row(self, subject: Subject) -> None:
        """The subject's model stands for a reference row."""
        subject.model = reference_row(self.spec.model, subject.data, subject.train, subject.test)
        self.draft.capabilities = ["Sampler"]

    def measure_anew(self, record: Record) -> None:
        """Measure `spec.measure` of a finished run; all else of its record stays."""
        started = clocks.perf_counter()
        draft, names = self.draft, self.spec.measure
        subject, metrics = self.set_up(names)
        now = {name: draft.provenance[name] for name in ("date", "command", "git", "versions", "cpu", "gpu", "threads")}
        draft.take_over(record, names)
        draft.provenance["measured"] = [*record.provenance.get("measured", []), {"metrics": list(names)} | now]
        if self.spec.is_reference:
            self.take_reference_row(subject)
        else:
            load_weights(self.model(subject), self.folder / ARTIFACTS["checkpoint"])
            subject.model.eval()
        subject.training = training(record)
        self.measure(subject, metrics)
        draft.collect_artifacts(self.folder)
        draft.timing["evaluation"] = draft.timing.get("evaluation", 0.0) + clocks.perf_counter() - started

    def metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        """The metrics of these names with the options of this run; one that can't be made is unmeasured."""
        made: dict[str, Metric] = {}
        for name in names:
            options = self.spec.metrics[name]
            cls = import_target(self.spec.metric_targets[name], Metric)
            try:
                made[name] = cls(cls.Config.model_validate(options))
            except Overstayed:
                raise
            except BaseException as error:  # foreign code, of which none may end the run
                say_traceback(error)
                self.draft.unmeasured.append(unmeasured(name, cls, "failed", error_text(error)))
        return made

    def train(
        self, subject: Subject, metrics: dict[str, Metric], budget: Budget, memory: Memory, started: float
    ) -> None:
        """Build the model and train it; `subject` then holds it."""
        draft = self.draft
        model = self.model(subject)
        quick = quick_metrics(metrics)
        self.enter("training")
        self.in_loop = clocks.perf_counter()
        draft.timing["setup"] = self.in_loop - started
        try:
            trained = self.trained(subject, budget, quick, self.saved())
        except StateRefused as error:
            self.start_over(f"the model does not take its state: {error}")
            _seed_everything(self.spec.seed)
            model = self.model(subject)
            trained = self.trained(subject, budget, quick, None)
        finally:
            self.account()
        clock = trained.clock
        if trained.compilation is not None:
            draft.provenance["compile"] = trained.compilation
        draft.use(clock, memory.peak())
        draft.selected = trained.selected
        subject.training = {
            "images_per_s": clock.images_per_s if model.batch_size is not None else None,
            "flops_per_image": trained.flops_per_image,
            "peak_memory_bytes": memory.peak(),
        }
        try:
            save_weights(model, self.folder / ARTIFACTS["checkpoint"])
        except Exception as error:
            say(f"there is no checkpoint: {error_text(error)}")
            draft.unsaved("checkpoint", error)

    def model(self, subject: Subject) -> Model:
        """The model, untrained, which `subject` then holds."""
        cls = import_target(self.spec.target, Model)
        self.draft.capabilities = capabilities(cls)
        cls.check_data(subject.data)
        model: Model = cls(subject.data, cls.Config.model_validate(self.spec.config)).to(subject.device)
        subject.model = model
        return model

    def trained(
        self, subject: Subject, budget: Budget, quick: dict[str, Metric], saved: dict[str, Any] | None
    ) -> Trained:
        """Train the model, from the state that was `saved` where there is one."""
        return train(
            subject.model,
            subject.train,
            subject.validation,
            budget,
            seed=self.spec.seed,
            precision=self.spec.precision,
            compiled=self.spec.compile,
            select=self.spec.select,
            emit=self.emit,
            quick=lambda _: measure_quickly(subject, quick),
            keep=self.keep,
            begin=self.begin,
            save=self.save,
            saved=saved,
        )

    def evaluate(self, subject: Subject, metrics: dict[str, Metric]) -> None:
        """Measure and save pictures."""
        started = clocks.perf_counter()
        self.measure(subject, metrics)
        save_gallery(subject, self.folder)
        set_state_aside(self.store, self.spec.key)
        self.draft.collect_artifacts(self.folder)
        self.draft.timing["evaluation"] = clocks.perf_counter() - started

    def measure(self, subject: Subject, metrics: dict[str, Metric]) -> None:
        """Ask all metrics about the model."""
        self.enter("evaluation")

        def begin(metric: str) -> None:
            self.enter("evaluation", metric=metric)
            subject.progress = self.reporter(metric)

        protocols = {name: self.spec.value_protocol(name) for name in metrics}
        for found in measure(subject, metrics, protocols, begin, self.draft.metric_seconds.__setitem__):
            if isinstance(found, Value):
                self.draft.metrics.append(found)
            else:
                self.draft.unmeasured.append(found)

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
        return self.off_clock_before + clocks.perf_counter() - self.in_loop - self.clock.seconds_here

    @property
    def identity(self) -> str:
        """What must agree before training goes on from a saved state."""
        return f"{self.spec.key} {self.spec.protocol_hash}"

    def save(self, state: dict[str, Any]) -> None:
        """Keep what training can go on from; a full disk, or a state that no file can hold, costs no more than the
        state, and the log says so once."""
        try:
            save_state(self.folder / RESUME, state | {"off_clock": self.off_clock()}, self.identity)
        except Exception as error:
            if self.said_of_state != (reason := error_text(error)):
                self.said_of_state = reason
                say(f"could not save the state at step {state['clock']['steps']}: {reason}")

    def saved(self) -> dict[str, Any] | None:
        """The state that an earlier process of this run left, if one did; a bad one is named in the log and ignored."""
        path = self.folder / RESUME
        if not path.exists():
            return None
        try:
            state = load_state(path, self.identity)
        except GenbenchError as error:
            self.start_over(str(error))
            return None
        self.off_clock_before = state["off_clock"]
        self.draft.provenance["resumed"] = state["clock"]["steps"]
        say(f"going on after step {state['clock']['steps']}")
        return state

    def start_over(self, reason: str) -> None:
        """Say that training does not go on from the state that there is, and delete the state."""
        say(f"starting over: {reason}")
        (self.folder / RESUME).unlink(missing_ok=True)
        self.draft.provenance.pop("resumed", None)
        self.off_clock_before = 0.0

    def emit(self, event: dict[str, Any]) -> None:
        """Tell the parent how far training is; it keeps the last event, for the record of a run that says no more."""
        self.draft.use_event(event)
        self.wire.send(event)

    def keep(self, point: CurvePoint) -> None:
        """A point of the curve: it stands in the record whatever comes, and the parent has it too."""
        assert self.clock is not None  # as above
        self.draft.reach(point)
        self.wire.send({"phase": "curve", "point": asdict(point), "timing": self.clock.timing()})

    def reporter(self, metric: str) -> Callable[[float], None]:
        """Tells the parent how far a metric is, a few times a second at most."""
        last = clocks.monotonic()

        def report(fraction: float) -> None:
            nonlocal last
            number = plain_number(fraction)  # a metric may report anything
            if number is not None and clocks.monotonic() - last >= HEARTBEAT:
                last = clocks.monotonic()
                self.wire.send({"phase": "evaluation", "metric": metric, "done": min(max(number, 0.0), 1.0)})

        return report

    def enter(self, phase: str, **more: Any) -> None:
        """Say that a phase begins."""
        self.phase = phase
        self.wire.send({"phase": phase, **more})


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)

"""One run from specification to record, in a process of its own."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_model

from genbench.data import Dataset, DatasetSource
from genbench.data.cache import cache_folder
from genbench.data.device import DeviceSplit
from genbench.data.views import ViewOptions, apply_view
from genbench.metrics.base import Metric, Subject
from genbench.model import Model, Sampler
from genbench.plan.budget import Budget
from genbench.plan.prepare import capabilities
from genbench.plan.spec import RunSpec
from genbench.plugins.catalogue import import_target
from genbench.plugins.local import import_file
from genbench.results.schema import CurvePoint, Status
from genbench.results.store import Store
from genbench.runner.draft import Draft
from genbench.runner.gallery import save_gallery
from genbench.runner.loop import HEARTBEAT, Diverged, train
from genbench.runner.measure import measure, measure_quickly, quick_metrics
from genbench.runner.memory import Memory
from genbench.runner.provenance import provenance
from genbench.runner.reference_rows import reference_row

#: What torch says where the CPU's memory is used up.
NO_MEMORY = ("can't allocate memory", "not enough memory", "Cannot allocate memory")


def run(connection: Connection, spec: RunSpec, out: Path, command: list[str]) -> None:
    """Carry a run out and write its record; every event is sent on the connection.

    A run that fails leaves a record that says so. The last event, `{"phase": "end"}`, says that a record is written.
    """
    draft = Draft(spec)
    worker = _Run(spec, Store(out), connection, draft, command)
    try:
        worker.carry_out()
        status: Status = "ok"
    except BrokenPipeError:
        raise
    except Exception as error:
        traceback.print_exc()
        status = _status(error)
        draft.fail(error, worker.phase)
    worker.store.publish(draft.finish(status))
    connection.send({"phase": "end"})


def _status(error: Exception) -> Status:
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

    def carry_out(self) -> None:
        """Set up, train, measure."""
        started = time.perf_counter()
        self.enter("setup")
        spec, draft = self.spec, self.draft
        for path in spec.files:
            import_file(Path(path))
        device = torch.device(spec.device)
        if spec.precision == "tf32":
            torch.set_float32_matmul_precision("high")
        draft.provenance |= provenance(spec, self.command)
        dataset = self.load()
        metrics = {name: self.metric(name) for name in spec.metrics}
        budget = Budget.parse(spec.budget)
        memory = Memory(device, budget.memory_bytes)
        _seed_everything(spec.seed)
        subject = Subject(
            model=None,
            data=dataset.spec,
            dataset=dataset,
            train=DeviceSplit(dataset, "train", device),
            validation=DeviceSplit(dataset, "validation", device),
            test=DeviceSplit(dataset, "test", device),
            device=device,
            seed=spec.seed,
            folder=self.folder,
        )
        draft.timing["setup"] = time.perf_counter() - started
        if spec.is_reference:
            subject.model = reference_row(spec.model, dataset.spec, subject.train, subject.test)
            draft.capabilities = ["Sampler"]
            metrics = {name: metric for name, metric in metrics.items() if Sampler in metric.requires}
        else:
            self.train(subject, metrics, budget, memory, started)
        self.evaluate(subject, metrics)

    def load(self) -> Dataset:
        """The run's dataset under its view."""
        cls = import_target(self.spec.dataset_target, DatasetSource)
        source = cls(cls.Config.model_validate(self.spec.dataset_config), cache_folder())
        return apply_view(source.load(), ViewOptions.model_validate(self.spec.view))

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
        model = cls(subject.data, cls.Config.model_validate(spec.config)).to(subject.device)
        subject.model = model
        quick = quick_metrics(metrics)
        self.enter("training")
        in_loop = time.perf_counter()
        draft.timing["setup"] = in_loop - started
        trained = train(
            model,
            subject.train,
            subject.validation,
            budget,
            seed=spec.seed,
            precision=spec.precision,
            select=spec.select,
            emit=self.connection.send,
            quick=lambda _: measure_quickly(subject, quick),
            keep=self.keep,
        )
        clock = trained.clock
        draft.use(clock, memory.peak())
        draft.selected = trained.selected
        draft.timing["training"] = clock.seconds
        draft.timing["curve"] = time.perf_counter() - in_loop - clock.seconds
        subject.training = {
            "images_per_s": clock.images_per_s if model.batch_size is not None else None,
            "flops_per_image": trained.flops_per_image,
            "peak_memory_bytes": memory.peak(),
        }
        save_model(model, str(self.folder / "checkpoint.safetensors"))
        draft.artifacts["checkpoint"] = "checkpoint.safetensors"

    def evaluate(self, subject: Subject, metrics: dict[str, Metric]) -> None:
        """Measure and save pictures."""
        self.enter("evaluation")
        started = time.perf_counter()

        def begin(metric: str) -> None:
            self.enter("evaluation", metric=metric)
            subject.progress = self.reporter(metric)

        self.draft.metrics, self.draft.unmeasured = measure(subject, metrics, self.spec.protocol, begin)
        save_gallery(subject, self.folder)
        self.draft.collect_artifacts(self.folder)
        self.draft.timing["evaluation"] = time.perf_counter() - started

    def keep(self, point: CurvePoint) -> None:
        """A point of the curve: it stands in the record whatever comes, and the parent has it too."""
        self.draft.curve.append(point)
        self.connection.send({"phase": "curve", "point": point.model_dump()})

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

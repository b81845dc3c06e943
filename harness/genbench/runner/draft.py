"""A record in the making: filled in as the run goes, so that whatever was reached stands in it."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from genbench.files import is_plain
from genbench.plan.budget import Budget
from genbench.plan.spec import RunSpec
from genbench.results.schema import (
    Amount,
    BudgetUse,
    CurvePoint,
    Failure,
    Record,
    Spec,
    Status,
    Unmeasured,
    Value,
)

if TYPE_CHECKING:
    from genbench.runner.clock import BudgetClock

#: What a run that was ended before its time goes on from.
RESUME = "resume.safetensors"
#: Files that a run may leave, by purpose.
ARTIFACTS = {
    "resume": RESUME,
    "checkpoint": "checkpoint.safetensors",
    "samples": "samples.png",
    "reconstructions": "reconstructions.png",
    "rows": "rows.npz",
    "manifold": "manifold.png",
    "interpolation": "interpolation.png",
    "traversal": "traversal.png",
    "arithmetic": "arithmetic.png",
    "codes": "codes.npz",
    "log": "log.txt",
}
#: How much of a log or a traceback a record keeps, in characters.
TAIL = 4000


class Draft:
    """What is known of a run so far. Torch-free: the parent makes the record of a run whose process died."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.capabilities: list[str] = []
        self.used = Amount()
        self.selected: dict[str, Any] = {}
        self.metrics: list[Value] = []
        self.unmeasured: list[Unmeasured] = []
        self.curve: list[CurvePoint] = []
        self.artifacts: dict[str, str] = {}
        self.timing: dict[str, float | int] = {}
        self.provenance: dict[str, Any] = {"plugin": {"distribution": spec.plugin[0], "version": spec.plugin[1]}}
        self.error: Failure | None = None
        self.memory_bytes: int | None = None

    def use(self, clock: BudgetClock, memory_bytes: int) -> None:
        """Take over what the clock counted."""
        self.used = Amount(
            seconds=clock.seconds,
            steps=clock.steps,
            epochs=clock.samples / clock.epoch,
            flops=clock.flops,
            samples=clock.samples,
            memory_bytes=memory_bytes,
        )

    def reach(self, point: CurvePoint) -> None:
        """Take over a point of the curve."""
        self.curve.append(point)
        self.used = Amount(seconds=point.seconds, steps=point.steps, samples=point.samples)

    def use_event(self, event: dict[str, Any]) -> None:
        """Take over what a progress event says."""
        self.used = Amount(seconds=event["seconds"], steps=event["steps"], samples=event["samples"])

    def fail(self, error: BaseException, phase: str) -> None:
        """The run raised `error` in `phase`, in this process."""
        self.error = Failure(
            phase=phase,
            type=type(error).__name__,
            message=" ".join(str(error).split()) or "no message",
            traceback="".join(traceback.format_exception(error))[-TAIL:],
            memory_bytes=psutil.Process().memory_info().rss,
        )

    def collect_artifacts(self, folder: Path) -> None:
        """List what lies in the run's folder."""
        self.artifacts = {purpose: name for purpose, name in ARTIFACTS.items() if is_plain(folder / name)}

    def finish(self, status: Status) -> Record:
        """The record."""
        spec = self.spec
        return Record(
            key=spec.key,
            status=status,
            spec=Spec(
                model=spec.model,
                family=spec.family,
                label=spec.label,
                config=spec.config,
                dataset=spec.dataset,
                data=spec.data,
                dataset_config=spec.dataset_config,
                view=spec.view,
                budget=spec.budget,
                seed=spec.seed,
                precision=spec.precision,
                compile=spec.compile,
                device=spec.device,
                select=spec.select,
                metrics=spec.metrics,
            ),
            protocol=spec.protocol,
            protocol_hash=spec.protocol_hash,
            capabilities=self.capabilities,
            budget=BudgetUse(allowed=Amount(**Budget.parse(spec.budget).limits()), used=self.used),
            selected=self.selected,
            metrics=self.metrics,
            unmeasured=self.unmeasured,
            curve=self.curve,
            artifacts=self.artifacts,
            timing=self.timing,
            provenance=self.provenance,
            error=self.error,
        )


def log_tail(path: Path) -> str:
    """The end of a run's log."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""

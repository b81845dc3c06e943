"""A record in the making: filled in as the run goes, so that whatever was reached stands in it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from genbench.files import is_plain
from genbench.plain import (
    TRACEBACK,
    error_message,
    error_text,
    plain_number,
    plain_text,
    plain_value,
    traceback_text,
    type_name,
)
from genbench.plan.budget import Budget
from genbench.plan.spec import RunSpec
from genbench.results.consistency import checksum
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
from genbench.runner.anew import joined

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


def plugin_of(spec: RunSpec) -> dict[str, str]:
    """The plugin that a run's model comes from, as a record has it."""
    distribution, version = spec.plugin
    return {"distribution": distribution, "version": version, "source": spec.source}


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
        self.metric_seconds: dict[str, float] = {}
        self.provenance: dict[str, Any] = {"plugin": plugin_of(spec), "hardware": spec.hardware}
        self.error: Failure | None = None
        self.memory_bytes: int | None = None

    def take_over(self, record: Record, but: Sequence[str]) -> None:
        """Be the record of a finished run, but for these metrics, which are measured again; of them, what could not be
        measured so far stays."""
        self.spec = joined(self.spec, record)
        self.capabilities = list(record.capabilities)
        self.used = record.budget.used
        self.selected = dict(record.selected)
        self.metrics = [value for value in record.metrics if value.metric not in but]
        self.unmeasured = [*(gap for gap in record.unmeasured if gap.metric not in but), *self.unmeasured]
        self.curve = list(record.curve)
        self.timing = dict(record.timing)
        self.metric_seconds = dict(record.metric_seconds)
        self.provenance = dict(record.provenance)

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
        memory = None
        with contextlib.suppress(psutil.Error, OSError):
            memory = psutil.Process().memory_info().rss
        self.error = Failure(
            phase=phase,
            type=type_name(error),
            message=error_message(error),
            traceback=traceback_text(error),
            memory_bytes=memory,
        )

    def unsaved(self, purpose: str, error: BaseException) -> None:
        """An artifact could not be written."""
        reason = error.strerror if isinstance(error, OSError) else None
        self.provenance.setdefault("unsaved", {})[purpose] = reason or error_message(error)

    def collect_artifacts(self, folder: Path) -> None:
        """List what lies in the run's folder."""
        self.artifacts = {purpose: name for purpose, name in ARTIFACTS.items() if is_plain(folder / name)}

    def finish(self, status: Status) -> Record:
        """The record, which can be written: content that no record can hold is left out, and `provenance["left_out"]`
        names its fields."""
        base, reached = self._required(status), self._reached()
        try:
            return _writable(base | reached)
        except Exception as error:
            base = {name: plain_value(value) if isinstance(value, Mapping) else value for name, value in base.items()}
            kept = {name: _fitting(base, name, value) for name, value in reached.items()}
            lacking = [name for name, value in reached.items() if kept[name] != value]
            left_out = {"fields": lacking, "reason": error_text(error)}
            return _writable(base | kept | {"provenance": kept["provenance"] | {"left_out": left_out}})

    def _required(self, status: Status) -> dict[str, Any]:
        """The fields without which there is no record: all but what was used of the budget is as it was planned."""
        spec = self.spec
        return {
            "key": spec.key,
            "status": status,
            "spec": {name: getattr(spec, name) for name in Spec.model_fields},
            "protocol": spec.protocol,
            "metric_protocols": spec.metric_protocols,
            "protocol_hash": spec.protocol_hash,
            "budget": BudgetUse(allowed=Amount(**Budget.parse(spec.budget).limits()), used=self.used),
        }

    def _reached(self) -> dict[str, Any]:
        """The other fields, as far as the run has filled them in."""
        timing = {name: seconds for name, seconds in self.timing.items() if plain_number(seconds) is not None}
        return {
            "capabilities": self.capabilities,
            "selected": plain_value(self.selected),
            "metrics": self.metrics,
            "unmeasured": self.unmeasured,
            "curve": self.curve,
            "artifacts": self.artifacts,
            "timing": timing,
            "metric_seconds": self.metric_seconds,
            "provenance": plain_value(self.provenance),
            "error": self.error,
        }


def _writable(content: Mapping[str, Any]) -> Record:
    """The record of this content.

    Raises:
        ValueError: it is not valid, or can't be written as JSON.
    """
    record = Record(**content, checksum=checksum(content.get("metrics", ())))
    record.model_dump_json()
    return record


def _fitting(base: dict[str, Any], name: str, value: Any) -> Any:
    """As much of a field's value as a record can hold."""

    def fits(part: Any) -> bool:
        try:
            _writable(base | {name: part})
        except Exception:
            return False
        return True

    if isinstance(value, list):
        return [item for item in value if fits([item])]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if fits({key: item})}
    return value if fits(value) else None


def log_tail(path: Path) -> str:
    """The end of a run's log."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TRACEBACK))
            return plain_text("\n".join(file.read().decode("utf-8", errors="replace").splitlines()), TRACEBACK)
    except OSError:
        return ""

"""What failed: runs that are not ok, and metrics that failed in runs that are. Plain data, made of records that may say
anything: no text has control characters in it, and only tracebacks and logs have more than one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.report.pictures import log_tail
from genbench.report.protocols import one_line, plain
from genbench.report.ranking import natural

if TYPE_CHECKING:
    from genbench.results.schema import BudgetUse, Record

#: How amounts of a budget are written: used, allowed, and the unit.
_AMOUNTS = {
    "seconds": ("{:,.1f}", "{:,g}", "s"),
    "steps": ("{:,}", "{:,}", "steps"),
    "epochs": ("{:,.3g}", "{:,g}", "epochs"),
    "flops": ("{:.3g}", "{:g}", "flop"),
}
UNKNOWN = "?"


@dataclass(frozen=True)
class FailureRow:
    """One failure.

    Attributes:
        label, data, seed, key: of the run.
        status: that of the run; `failed` of a metric.
        phase: `setup`, `training` or `evaluation`; empty where nobody knows.
        metric: the metric that failed, where the run is ok.
        type: of the exception; empty where nobody knows, and of a metric, whose message begins with it.
        signal, exit_code: how the process ended, where it did not live to say more.
        budget: used and allowed: `18.2 of 30 s`.
        memory_bytes: the process's memory when last heard of.
        traceback, log: what the run left; the log without that same traceback at its end.
    """

    label: str
    data: str
    seed: int
    key: str
    status: str
    phase: str
    metric: str | None
    type: str
    message: str
    signal: str | None
    exit_code: int | None
    budget: str
    memory_bytes: int | None
    traceback: str
    log: str

    @property
    def title(self) -> str:
        """The run: `vae on digits, seed 0`."""
        return f"{self.label} on {self.data}, seed {self.seed}"

    @property
    def place(self) -> str:
        """Where it failed: `training`, `metric fid`; nothing where nobody knows."""
        return self.phase if self.metric is None else f"metric {self.metric}"

    @property
    def what(self) -> str:
        """What became of it: `diverged in training`."""
        status = self.status.replace("_", " ")
        return f"{status} in {self.place}" if self.place else status

    @property
    def reason(self) -> str:
        """The exception: `ValueError: it broke`."""
        return f"{self.type}: {self.message}" if self.type else self.message

    @property
    def end(self) -> str:
        """How the process ended: `SIGKILL`, `exit code 7`; nothing where it lived to say more."""
        if self.signal is not None:
            return self.signal
        return "" if self.exit_code is None else f"exit code {self.exit_code}"

    @property
    def memory(self) -> str:
        """The process's memory when last heard of: `812 MiB`; nothing where nobody knows."""
        return "" if self.memory_bytes is None else f"{self.memory_bytes // 2**20:,} MiB"


def failures(records: Iterable[Record], out: Path | None = None) -> list[FailureRow]:
    """Everything that failed in these records, by data, model and seed.

    Args:
        records: in any order.
        out: the output folder, in which logs are read that records do not quote; without it rows have neither
            tracebacks nor logs, which are most of what a record of a failure says.
    """
    found = [row for record in records for row in _rows(record, out)]
    return sorted(found, key=lambda row: (natural(row.data), natural(row.label), row.seed, row.key))


def summary(rows: Sequence[FailureRow], runs: int) -> str:
    """How much of so many runs failed: `2 of 9 runs are not ok, and metrics failed in 1 other`."""
    bad = len({row.key for row in rows if row.metric is None})
    partly = len({row.key for row in rows if row.metric is not None})
    total = f"{runs} run{'s' if runs != 1 else ''}"
    if not rows:
        return f"nothing failed in {total}"
    if not bad:
        return f"metrics failed in {partly} of {total}, all of which are ok"
    line = f"{bad} of {total} {'is' if bad == 1 else 'are'} not ok"
    return f"{line}, and metrics failed in {partly} other{'s' if partly != 1 else ''}" if partly else line


def _rows(record: Record, out: Path | None) -> list[FailureRow]:
    if record.status != "ok":
        return [_failed_run(record, out)]
    return [
        _row(
            record, out, status="failed", phase="evaluation", metric=one_line(gap.metric), message=one_line(gap.reason)
        )
        for gap in record.unmeasured
        if gap.status == "failed"
    ]


def _failed_run(record: Record, out: Path | None) -> FailureRow:
    error = record.error
    if error is None:
        return _row(record, out, status=record.status, message="no reason is known")
    return _row(
        record,
        out,
        status=record.status,
        phase=one_line(error.phase),
        type=one_line(error.type),
        message=one_line(error.message),
        signal=None if error.signal is None else one_line(error.signal),
        exit_code=error.exit_code,
        memory_bytes=error.memory_bytes,
        traceback=error.traceback,
        quoted=error.log_tail,
    )


def _row(record: Record, out: Path | None, *, quoted: str = "", traceback: str = "", **known: Any) -> FailureRow:
    """A row with what is `known`; `quoted` is the end of the log that the record itself holds."""
    unknown = {"phase": "", "metric": None, "type": "", "signal": None, "exit_code": None, "memory_bytes": None}
    trace = "" if out is None else _lines(traceback)
    log = "" if out is None else _lines(quoted or log_tail(record, out)).removesuffix(trace).rstrip()
    return FailureRow(
        label=one_line(record.spec.label),
        data=one_line(record.spec.data),
        seed=record.spec.seed,
        key=record.key,
        budget=_budget(record.budget),
        traceback=trace,
        log=log,
        **unknown | known,
    )


def _lines(text: str) -> str:
    """Plain text of as many lines as a terminal had shown: a bar that was drawn anew is one more line."""
    return plain("\n".join(text.splitlines())).rstrip()


def _budget(budget: BudgetUse) -> str:
    """Used and allowed of every limit: `18.2 of 30 s, 1,024 of 4,096 MiB`."""
    parts = []
    for name, (used_format, allowed_format, unit) in _AMOUNTS.items():
        used, allowed = getattr(budget.used, name), getattr(budget.allowed, name)
        if allowed is not None:
            said = UNKNOWN if used is None else used_format.format(used)
            parts.append(f"{said} of {allowed_format.format(allowed)} {unit}")
    if budget.allowed.memory_bytes is not None:
        used = budget.used.memory_bytes
        said = UNKNOWN if used is None else f"{used // 2**20:,}"
        parts.append(f"{said} of {budget.allowed.memory_bytes // 2**20:,} MiB")
    return ", ".join(parts)

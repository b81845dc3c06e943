"""What a comparison table consists of. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from genbench.report.quantities import agree, number, small_number, two_digits

#: The family of the rows that calibrate the columns.
REFERENCE = "reference"
#: The one of them that is real data.
REAL = "real (test split)"

#: What statuses are called where there is little room.
STATUS_WORDS = {
    "ok": "ok",
    "failed": "failed",
    "diverged": "diverged",
    "timeout": "timeout",
    "out_of_memory": "oom",
    "killed": "killed",
}

#: Decimals that a number may have more than its column.
MORE_DECIMALS = 2

State = Literal["value", "failed", "not_applicable", "absent"]
Kind = Literal["exact", "lower_bound", "upper_bound", "estimate"]
Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Column:
    """One number that is compared.

    Attributes:
        name: as in `Value.name`.
        metric: the metric that it answers.
        main: whether narrow formats show it.
        comparable: False where its values were measured with different settings: then none is best.
        differs: the settings in which they differ, each with the values it had.
        decimals: how many to show.
    """

    name: str
    metric: str
    unit: str
    better: Better
    main: bool
    comparable: bool
    differs: Mapping[str, tuple[str, ...]]
    decimals: int


@dataclass(frozen=True)
class Cell:
    """What is known of one model in one column.

    Attributes:
        state: a `value`; `failed` (the metric or the run); `not_applicable`; `absent`: it was not asked for.
        value: mean over the seeds that have one.
        interval: half-width of the 95% interval: Student's t over seeds where they differ, else that of the value
            over the test data: half the width of its own interval, or 1.96 standard errors; None where none is known.
        ends: where that interval ends: a value's own need not be symmetric about it.
        kind: that of all seeds, or `estimate` where they are of different kinds.
        n: number of seeds that have a value.
        seeds, numbers: the seeds that have a value, in order, and the value of each. Not a dict, which takes five times
            the room: a report of many runs has very many of them.
        protocols: hashes of all that must agree before the value may be compared; one, but for uneven seeds.
        flags: what a reader must know before believing the value, each in a few words.
        best: no comparable model is better.
        close: not the best, and not distinguishable from it.
        rank_low, rank_high: between which ranks the model lies, 1 being the best, with a probability of 95% for all
            models of the column at once; None where it is not ranked.
        word: of a failed cell, what became of it: `failed`, `diverged`, `timeout`, `oom`, `killed`.
        reason: of a cell without a value, why.
    """

    state: State
    value: float | None = None
    interval: float | None = None
    ends: tuple[float, float] | None = field(default=None, kw_only=True)
    kind: Kind | None = None
    n: int = 0
    seeds: tuple[int, ...] = ()
    numbers: Sequence[float] = ()
    protocols: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    best: bool = False
    close: bool = False
    rank_low: int | None = None
    rank_high: int | None = None
    word: str = ""
    reason: str = ""

    @property
    def varies(self) -> bool:
        """Whether its seeds differ, so that its interval is one over seeds."""
        return self.n > 1 and not agree(self.numbers)


@dataclass(frozen=True)
class Row:
    """One model config, over its seeds.

    Attributes:
        label: unique in its table.
        keys: of its records, by seed.
        precision, select: how it was trained, and which of its weights were scored.
        ok: how many of its runs are ok.
        statuses: how many runs have which status.
        cells: by the column's name; for every column of the table at least.
    """

    label: str
    model: str
    family: str
    keys: tuple[str, ...]
    ok: int
    precision: str
    select: str
    statuses: Mapping[str, int]
    cells: Mapping[str, Cell]

    @property
    def is_reference(self) -> bool:
        """Whether it calibrates the columns and is no contender."""
        return self.family == REFERENCE

    @property
    def seeds(self) -> str:
        """`3`, or `2/3` where not every run is ok."""
        runs = len(self.keys)
        return str(runs) if self.ok == runs else f"{self.ok}/{runs}"

    @property
    def fate(self) -> str:
        """What became of most of its runs, in a word."""
        return STATUS_WORDS[max(self.statuses, key=lambda status: self.statuses[status])]


@dataclass(frozen=True)
class Problem:
    """A run that is not ok, or a metric that failed in a run that is."""

    label: str
    seed: int
    status: str
    what: str
    reason: str
    key: str


@dataclass(frozen=True)
class Unanswered:
    """Metrics that apply to no model of a table, so that it has no columns of theirs, and why."""

    metrics: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """All records of one protocol.

    Attributes:
        title: data, budget and, under a budget in seconds, hardware.
        differs: the fields of the protocol in which the tables built together differ, with this one's values.
        order: what its rows are sorted by, in words.
        found: the names of all columns that any record has.
        unanswered: the metrics that were asked for and apply to none of its models.
    """

    protocol_hash: str
    data: str
    title: str
    differs: Mapping[str, str]
    protocol: Mapping[str, Any]
    columns: Sequence[Column]
    rows: Sequence[Row]
    problems: Sequence[Problem] = ()
    order: str = ""
    found: Sequence[str] = ()
    unanswered: Sequence[Unanswered] = ()


def models(table: Table) -> list[Row]:
    """The rows without those that calibrate."""
    return [row for row in table.rows if not row.is_reference]


def value_text(cell: Cell, column: Column) -> str:
    """The number of a cell that has one, without its marks: `2.314`."""
    assert cell.value is not None
    if cell.interval is not None:
        return number(cell.value, _decimals(cell.interval, column))
    return small_number(cell.value, two_digits(cell.value, column.decimals))


def interval_text(cell: Cell, column: Column) -> str:
    """The interval of a cell, `±0.012`, or nothing where none is known."""
    return "" if cell.interval is None else f"±{small_number(cell.interval, _decimals(cell.interval, column))}"


def _decimals(interval: float, column: Column) -> int:
    """The column's, or some more where the interval is so much smaller than the others that it would not show."""
    hidden = round(interval, column.decimals) == 0
    return min(two_digits(interval, column.decimals), column.decimals + MORE_DECIMALS) if hidden else column.decimals

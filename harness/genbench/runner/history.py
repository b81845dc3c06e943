"""The records of an output folder as a plan sees them: how long runs like its own took, and why a run is new."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from functools import cache
from statistics import median

from genbench.plan.budget import Budget
from genbench.plan.planner import OVERHEAD
from genbench.plan.spec import RunSpec, canonical_hash
from genbench.results.schema import Record
from genbench.runner.draft import plugin_of

#: The limits that training is timed by.
UNITS = ("steps", "epochs", "flops")
#: A run that spent less than this share of every limit had nothing left to train.
EARLY = 0.9


class History:
    """The times that the runs in some records took, by model, data and hardware, the nearest kin first."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._paces: defaultdict[Hashable, list[float]] = defaultdict(list)
        self._overheads: defaultdict[Hashable, list[float]] = defaultdict(list)
        self._ends: defaultdict[Hashable, list[float]] = defaultdict(list)
        self._before: dict[Hashable, Record] = {}
        for record in records:
            spec = record.spec
            self._before[spec.label, spec.data, spec.budget, spec.seed] = record
            if record.status == "ok":
                self._add(record, list(_kin(spec.label, spec.model, spec.data, record.provenance.get("hardware"))))

    def seconds(self, run: RunSpec) -> float | None:
        """How long a run will take, or None where nothing tells.

        Under a budget in seconds that is the budget, under others what the same model took for as much; and what went
        into set-up, curve and evaluation, or `OVERHEAD` where no record tells.
        """
        kin = list(_kin(run.label, run.model, run.data, run.hardware))
        overhead = _typical(self._overheads, kin)
        if run.is_reference:
            return OVERHEAD / 2 if overhead is None else overhead
        budget = _budget(run.budget)
        times = [budget.seconds, _typical(self._ends, kin[:2])]
        for unit in UNITS:
            pace, amount = _typical(self._paces, [(unit, *each) for each in kin]), getattr(budget, unit)
            times.append(None if pace is None or amount is None else pace * amount)
        known = [time for time in times if time is not None]
        return min(known) + (OVERHEAD if overhead is None else overhead) if known else None

    def reason(self, run: RunSpec) -> str:
        """Why a run is new although a record has its model, data, budget and seed; empty where there is none."""
        record = self._before.get((run.label, run.data, run.budget, run.seed))
        if record is None or record.key == run.key:
            return ""
        plugin = record.provenance.get("plugin")
        if isinstance(plugin, dict) and plugin != plugin_of(run):
            return f"{run.plugin[0]} has changed since run {record.key}"
        if record.protocol.get("fingerprint") != run.fingerprint:
            return f"its data has changed since run {record.key}"
        return ""

    def _add(self, record: Record, kin: list[tuple[Hashable, ...]]) -> None:
        timing, allowed, used = record.timing, record.budget.allowed, record.budget.used
        overhead = sum(timing.get(phase, 0.0) for phase in ("setup", "curve", "evaluation"))
        early = used.seconds is not None and all(
            (getattr(used, name) or 0) < EARLY * limit
            for name in ("seconds", *UNITS)
            if (limit := getattr(allowed, name)) is not None
        )
        for each in kin:
            self._overheads[each].append(overhead)
            if early and used.seconds is not None:
                self._ends[each].append(used.seconds)
            for unit in UNITS:
                if used.seconds and (amount := getattr(used, unit)):
                    self._paces[unit, *each].append(used.seconds / amount)


@cache
def _budget(text: str) -> Budget:
    return Budget.parse(text)


def _kin(label: str, model: str, data: str, hardware: object) -> Iterator[tuple[Hashable, ...]]:
    yield label, data, canonical_hash(hardware)
    yield label, data
    yield model, data, ""
    yield (model,)


def _typical(found: dict[Hashable, list[float]], kin: Iterable[Hashable]) -> float | None:
    """The median of the nearest kin that there are any of."""
    return next((median(found[each]) for each in kin if found.get(each)), None)

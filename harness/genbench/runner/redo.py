"""From the records of runs that ended badly to a plan that does them again.

A record may be anybody's: of what is run, it has names and options only. They are looked up and validated like those of
a suite, and all else comes from the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.errors import GenbenchError, UsageError
from genbench.plan.exchange import Prepared, Wanted
from genbench.plan.planner import Plan, make_plan
from genbench.plan.references import Reference
from genbench.plan.spec import REFERENCE_FAMILY, RunSpec, canonical_hash
from genbench.plan.suite import Asked, validated
from genbench.plugins.catalogue import Catalogue
from genbench.results.schema import Record

Prepare = Callable[[Wanted], Prepared]


@dataclass(frozen=True)
class Redo:
    """The runs of an output folder that are to be redone, or measured again.

    Attributes:
        runs: their records.
        others: the keys of all other runs.
        metrics: the metrics that are asked of them; none for those of their records.
    """

    runs: list[Record]
    others: set[str]
    metrics: tuple[Asked, ...] = ()

    @classmethod
    def of(cls, records: Iterable[Record], retry: str) -> Redo:
        """Those that ended with the status `retry`, or all that ended badly (`"failed"`)."""
        bad, good = [], set()
        for record in records:
            if record.status != "ok" and retry in ("failed", record.status):
                bad.append(record)
            else:
                good.add(record.key)
        return cls(bad, good)

    @classmethod
    def to_measure(cls, records: Iterable[Record], metrics: Sequence[Asked]) -> Redo:
        """The finished ones, to be asked these metrics."""
        return cls([record for record in records if record.status == "ok"], set(), tuple(metrics))

    @property
    def device(self) -> str:
        """What they need: `"cpu"`, or a GPU if there is one."""
        return "cpu" if all(record.spec.device == "cpu" for record in self.runs) else "auto"


@dataclass(frozen=True)
class Left:
    """A run that can't be planned any more, and why; its record stays as it is."""

    record: Record
    reason: str


def plan_again(redo: Redo, catalogue: Catalogue, prepare: Prepare) -> tuple[Plan, list[Left]]:
    """A plan of the runs that are to be redone, and those that can't be planned any more.

    Of reference rows it has those that are to be redone or missing. A run whose plugin or data is another one since has
    another key.
    """
    planner = _Planner(catalogue, prepare, redo.metrics)
    for group in _groups(redo.runs):
        planner.plan(group)
    runs = {run.key: run for run in planner.runs if not (run.is_reference and run.key in redo.others)}
    return Plan(list(runs.values()), []), planner.left


#: The records of one model under one configuration, one for each seed.
_Seeds = list[Record]


class _Planner:
    def __init__(self, catalogue: Catalogue, prepare: Prepare, metrics: tuple[Asked, ...]) -> None:
        self.catalogue = catalogue
        self.prepare = prepare
        self.metrics = metrics
        self.runs: list[RunSpec] = []
        self.left: list[Left] = []

    def plan(self, group: list[_Seeds]) -> None:
        """Plan a group as one suite, and if that can't be done, its parts."""
        try:
            suite = _suite(group) | ({"metrics": self.metrics} if self.metrics else {})
            plan = make_plan(validated(suite, "its record"), self.catalogue, self.prepare)
            if plan.refused:
                raise UsageError(f"it can't be trained on {plan.refused[0].data}: {plan.refused[0].reason}")
        except (GenbenchError, RuntimeError) as error:
            if len(group) > 1:
                self.plan(group[: len(group) // 2])
                self.plan(group[len(group) // 2 :])
            elif len(group[0]) > 1:
                for record in group[0]:
                    self.plan([[record]])
            else:
                reason = str(error).strip().splitlines()[-1]  # of a traceback, the error
                self.left.append(Left(group[0][0], reason))
            return
        self.runs += plan.runs
        rows = {run.model for run in plan.runs if run.is_reference}
        self.left += [
            Left(record, "there is no such reference row under its metrics")
            for records in group
            for record in records
            if _is_reference(record) and record.spec.model not in rows
        ]


def _groups(records: Iterable[Record]) -> Iterable[list[_Seeds]]:
    """The records in groups, each of all models × all seeds of a suite on one dataset; reference rows, which any suite
    has, are groups of their own."""
    models: dict[str, _Seeds] = {}
    for record in sorted(records, key=lambda record: (record.spec.data, record.spec.label, record.spec.seed)):
        model = [] if _is_reference(record) else [record.spec.model, record.spec.config]
        models.setdefault(canonical_hash([_common(record), model]), []).append(record)
    groups: dict[str, list[_Seeds]] = {}
    for found in models.values():
        seeds = [] if _is_reference(found[0]) else sorted({record.spec.seed for record in found})
        groups.setdefault(canonical_hash([_common(found[0]), seeds]), []).append(found)
    return groups.values()


def _common(record: Record) -> dict[str, Any]:
    """What is the same for all runs of a group, as plain data."""
    spec = record.spec
    data = {"dataset": spec.dataset, "options": spec.dataset_config, "view": spec.view}
    return data | {"metrics": spec.metrics} | _settings(record)


def _settings(record: Record) -> dict[str, Any]:
    spec = record.spec
    settings = {name: getattr(spec, name) for name in ("budget", "precision", "compile", "select")}
    return settings | {"device": spec.device.partition(":")[0]}  # which of the machine's GPUs it was does not matter


def _suite(group: list[_Seeds]) -> dict[str, Any]:
    """The values of a suite that means the runs of a group."""
    first = group[0][0]
    spec = first.spec
    return _settings(first) | {
        "models": [Reference(r[0].spec.model, r[0].spec.config) for r in group if not _is_reference(r[0])],
        "datasets": [Reference(spec.dataset, spec.dataset_config | spec.view)],
        "metrics": [Reference(name, options) for name, options in spec.metrics.items()],
        "seeds": sorted({record.spec.seed for record in group[0]}),
    }


def _is_reference(record: Record) -> bool:
    return record.spec.family == REFERENCE_FAMILY

"""From a suite to the runs it means: which there are, which are reused and why, which make no sense."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, UsageError
from genbench.plan.budget import Budget
from genbench.plan.exchange import MissingDataset, Prepared, PreparedDataset, Wanted
from genbench.plan.references import Reference, parse_references
from genbench.plan.spec import REFERENCE_FAMILY, REFERENCE_ROWS, RunSpec
from genbench.plan.suite import MOST_RUNS, Asked, Suite
from genbench.plugins.catalogue import Catalogue

#: What a run is expected to cost beside its training, in seconds, where no record tells.
OVERHEAD = 8.0


#: Among metrics, stands for those that are measured when none are named.
DEFAULT = "default"


@dataclass(frozen=True)
class Refused:
    """A model that can't be trained on a dataset, and why."""

    label: str
    data: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """The matrix: every run in the order in which it will be carried out.

    Attributes:
        missing: the datasets that can't be had, which are left out.
        found: of each dataset that reads a user's files what was found, in words.
    """

    runs: list[RunSpec]
    refused: list[Refused]
    missing: list[MissingDataset] = field(default_factory=list)
    found: dict[str, str] = field(default_factory=dict)

    def remarks(self) -> list[str]:
        """A line on each dataset that reads a user's files, and on each that is left out."""
        found = [f"{data}: {words}" for data, words in self.found.items()]
        return [*found, *(f"left out: {dataset.reason}" for dataset in self.missing)]


def wanted(suite: Suite, catalogue: Catalogue) -> Wanted:
    """The suite's references with the targets that the catalogue has for them.

    Raises:
        UsageError: a reference is malformed, or its name unknown, or it stands twice.
    """
    metrics = _metrics(suite.metrics or (DEFAULT,), catalogue)
    names = [_short(reference.name) for reference, _ in metrics]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"metric '{name}' is asked for twice: numbers of two settings would share a column")
    models, datasets = _parsed(suite.models), _parsed(suite.datasets)
    if (runs := len(models) * len(datasets) * len(suite.seeds)) > MOST_RUNS:
        product = f"{len(models):,} models × {len(datasets):,} datasets × {len(suite.seeds):,} seeds"
        raise UsageError(f"these are {runs:,} runs ({product}), and a plan has at most {MOST_RUNS:,}: ask for fewer")
    return Wanted(
        models=_references("model", models, catalogue),
        datasets=_references("dataset", datasets, catalogue),
        metrics=metrics,
        device=suite.device,
        files=catalogue.files,
    )


def make_plan(suite: Suite, catalogue: Catalogue, prepare: Callable[[Wanted], Prepared]) -> Plan:
    """The plan of a suite.

    Args:
        suite: what the user asks for.
        catalogue: what there is.
        prepare: `genbench.plan.prepare.prepare`, run where torch may be imported.

    Raises:
        UsageError: something asked for is unknown or refused, or no model can be trained on any dataset.
        GenbenchError: no dataset can be had.
    """
    budget = Budget.parse(suite.budget)
    asked = wanted(suite, catalogue)
    prepared = _prepared(asked, prepare)
    if prepared.missing and not prepared.datasets:
        kind = UsageError if all(dataset.usage for dataset in prepared.missing) else GenbenchError
        raise kind("; ".join(dataset.reason for dataset in prepared.missing))
    common: dict[str, Any] = {
        "budget": str(budget),
        "precision": suite.precision,
        "compile": suite.compile,
        "device": prepared.device,
        "select": suite.select,
        "metrics": prepared.metrics,
        "metric_targets": {reference.name: target for reference, target in asked.metrics},
        "hardware": prepared.hardware,
        "files": tuple(str(path) for path in catalogue.files),
    }
    runs: list[RunSpec] = []
    refused: list[Refused] = []
    for dataset in prepared.datasets:
        entry = catalogue.get("dataset", dataset.name).entry
        here = common | {
            "dataset": dataset.name,
            "data": dataset.label,
            "dataset_config": dataset.config,
            "dataset_target": entry.target,
            "view": dataset.view,
            "fingerprint": dataset.fingerprint,
            "protocol": _protocol(budget, prepared, dataset),
            "metric_protocols": _metric_protocols(prepared, dataset),
        }
        if prepared.calibrated:
            runs += [_reference_row(name, here, prepared.versions["genbench"]) for name in REFERENCE_ROWS]
        for model in prepared.models:
            if dataset.label in model.refusals:
                refused.append(Refused(model.label, dataset.label, model.refusals[dataset.label]))
                continue
            offer = catalogue.get("model", model.name)
            runs += [
                RunSpec(
                    model=model.name,
                    family=offer.entry.family,
                    label=model.label,
                    config=model.config,
                    target=offer.entry.target,
                    plugin=(_distribution(offer.plugin.source), offer.plugin.version),
                    source=catalogue.source(offer),
                    seed=seed,
                    **here,
                )
                for seed in suite.seeds
            ]
    runs = list({run.key: run for run in runs}.values())
    if refused and all(run.is_reference for run in runs):
        first = refused[0]
        raise UsageError(f"'{first.label}' can't be trained on {first.data}: {first.reason}")
    found = {dataset.label: dataset.found for dataset in prepared.datasets if dataset.found}
    return Plan(runs, refused, prepared.missing, found)


def _prepared(asked: Wanted, prepare: Callable[[Wanted], Prepared]) -> Prepared:
    """Everything that the plan needs to know of all datasets; where one takes its process down, of the others."""
    try:
        return prepare(asked)
    except UsageError:
        raise
    except GenbenchError:
        if len(asked.datasets) == 1:
            raise
        good, missing = _tried_one_by_one(asked, prepare)
        if not good:
            raise
    prepared = prepare(replace(asked, datasets=good))
    return replace(prepared, missing=[*prepared.missing, *missing])


def _tried_one_by_one(
    asked: Wanted, prepare: Callable[[Wanted], Prepared]
) -> tuple[list[tuple[Reference, str]], list[MissingDataset]]:
    good, missing = [], []
    for dataset in asked.datasets:
        try:
            prepare(replace(asked, datasets=[dataset]))
            good.append(dataset)
        except GenbenchError as error:
            label = str(dataset[0])
            missing.append(MissingDataset(label, f"dataset '{label}': {error}", usage=False))
    return good, missing


def _parsed(asked: Sequence[Asked]) -> list[Reference]:
    return [found for one in asked for found in ([one] if isinstance(one, Reference) else parse_references(one))]


def _references(what: str, asked: Sequence[Reference], catalogue: Catalogue) -> list[tuple[Reference, str]]:
    targets = {name: catalogue.get(what, name).entry.target for name in {reference.name: None for reference in asked}}
    return [(reference, targets[reference.name]) for reference in asked]


def _metrics(asked: Sequence[Asked], catalogue: Catalogue) -> list[tuple[Reference, str]]:
    """The metrics asked for; `default` stands for the default ones that are not named beside it."""
    references = _parsed(asked)
    named = {_short(reference.name) for reference in references}
    found: list[tuple[Reference, str]] = []
    for reference in references:
        if reference.name == DEFAULT and not reference.options:
            entries = [offer.entry for offer in catalogue.metrics.values() if offer.entry.default]
            found += [(Reference(entry.name), entry.target) for entry in entries if entry.name not in named]
        else:
            found.append((reference, catalogue.get("metric", reference.name).entry.target))
    return found


def _short(name: str) -> str:
    """A name without the plugin that is said to offer it."""
    return name.rpartition(":")[2]


def _protocol(budget: Budget, prepared: Prepared, dataset: PreparedDataset) -> dict[str, Any]:
    """The data as they are presented, the budget and, where that is in seconds, the hardware: every number of a run
    depends on them, beside the model."""
    timed = {"hardware": prepared.hardware} if budget.seconds is not None else {}
    return timed | {
        "dataset": dataset.name,
        "view": dataset.view,
        "fingerprint": dataset.fingerprint,
        "budget": str(budget),
    }


def _metric_protocols(prepared: Prepared, dataset: PreparedDataset) -> dict[str, dict[str, Any]]:
    """The options and the version of each metric, and of a metric of speed the hardware: its numbers depend on them."""
    return {
        name: own | ({"hardware": prepared.hardware} if name in prepared.timed else {})
        for name, own in dataset.metrics.items()
    }


def _reference_row(name: str, common: dict[str, Any], version: str) -> RunSpec:
    return RunSpec(
        model=name,
        family=REFERENCE_FAMILY,
        label=name,
        config={},
        target="",
        plugin=("genbench", version),
        source="",
        seed=0,
        **common | {"precision": "fp32", "select": "best", "compile": False},
    )


def _distribution(source: str) -> str:
    """A plugin's source without the folder a local file lies in: moving it changes no key."""
    return Path(source).name


def describe(run: RunSpec) -> dict[str, Any]:
    """A run as plain data, for `--json`."""
    return run.plain() | {"key": run.key, "protocol_hash": run.protocol_hash}

"""The part of planning that needs torch and the data; it runs in a worker process.

Validates every reference against the class it names, loads every dataset once for its fingerprint, and asks every
model whether it can be trained on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.data import SPLITS, Dataset, DatasetSource
from genbench.data.loading import in_words, load
from genbench.data.views import ViewOptions
from genbench.errors import GenbenchError, UsageError, unknown
from genbench.metrics.base import Metric
from genbench.model import CAPABILITIES, Model, ModelConfig, Sampler
from genbench.options import Options
from genbench.plain import error_text
from genbench.plan.environment import hardware, resolve_device, versions
from genbench.plan.exchange import MissingDataset, Prepared, PreparedDataset, PreparedModel, Wanted
from genbench.plan.references import Reference, changed, reference_text, validate
from genbench.plan.refusals import refusals
from genbench.plugins.catalogue import import_target
from genbench.plugins.local import import_file


def prepare(wanted: Wanted) -> Prepared:
    """Validate and load what is wanted.

    Raises:
        UsageError: an option is unknown or refused, or there is no such device, or something of a plugin's can't be
            imported or made.
    """
    import_files(wanted.files)
    metrics = {reference.name: make_metric(reference, target) for reference, target in wanted.metrics}
    classes = {target: _class("model", reference.name, target, Model) for reference, target in wanted.models}
    models = [(reference, classes[target]) for reference, target in wanted.models]
    configs = [_config(cls, reference) for reference, cls in models]
    loaded, missing = _load_all(wanted.datasets)
    refused = refusals(
        [(cls, config) for (_, cls), (config, _) in zip(models, configs, strict=True)],
        [dataset.spec for _, dataset in loaded],
    )
    device = resolve_device(wanted.device)  # last: it initialises CUDA, and `refusals` forks this process
    return Prepared(
        models=[
            PreparedModel(
                name=reference.name,
                label=reference_text(reference.name, changed(config)),
                config=values,
                capabilities=capabilities(cls),
                refusals={p.label: refused[place, at] for at, (p, _) in enumerate(loaded) if (place, at) in refused},
            )
            for place, ((reference, cls), (config, values)) in enumerate(zip(models, configs, strict=True))
        ],
        datasets=[
            PreparedDataset(
                p.name,
                p.label,
                p.config,
                p.view,
                dataset.fingerprint,
                {name: _metric_protocol(name, metric, dataset) for name, metric in metrics.items()},
                _found(dataset),
            )
            for p, dataset in loaded
        ],
        missing=missing,
        metrics={name: metric.config.model_dump(mode="json") for name, metric in metrics.items()},
        device=device,
        hardware=hardware(device),
        versions=versions(),
        calibrated=any(Sampler in metric.requires for metric in metrics.values()),
        timed=[name for name, metric in metrics.items() if metric.timed],
    )


def import_files(files: Iterable[Path]) -> None:
    """Import local plugin files.

    Raises:
        UsageError: one can't be imported; the message says which, and why.
    """
    for path in files:
        try:
            import_file(path)
        except (Exception, SystemExit) as error:
            raise UsageError(f"-p {path}: {error_text(error)}") from error


def make_metric(reference: Reference, target: str) -> Metric:
    """The metric that a reference names, with its options.

    Raises:
        UsageError: it can't be imported or made, or an option is unknown or refused.
    """
    cls = _class("metric", reference.name, target, Metric)
    config = validate(cls.Config, reference, "metric")
    try:
        metric: Metric = cls(config)
    except GenbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"metric '{reference.name}': {error_text(error)}") from error
    return metric


def _metric_protocol(name: str, metric: Metric, dataset: Dataset) -> dict[str, Any]:
    try:
        return metric.protocol(dataset) | {"version": metric.version}
    except GenbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"metric '{name}' on dataset '{dataset.name}': {error_text(error)}") from error


def _config(cls: type[Model], reference: Reference) -> tuple[ModelConfig, dict[str, Any]]:
    """A model's options, also as plain data.

    Raises:
        UsageError: one is unknown or refused, or can't be written down; the message names the model.
    """
    try:
        config = validate(cls.Config, reference, "model")
        return config, config.model_dump(mode="json")
    except GenbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"model '{reference.name}': its options fail: {error_text(error)}") from error


def _class(what: str, name: str, target: str, base: type) -> Any:
    """The class of an entry that was asked for.

    Raises:
        UsageError: it can't be imported, or is none of its kind; the message names the entry.
    """
    try:
        return import_target(target, base)
    except GenbenchError as error:
        raise UsageError(f"{what} '{name}': {error}") from error


@dataclass(frozen=True)
class DatasetReference:
    """A dataset reference split into the source's own options and the view."""

    name: str
    label: str
    config: dict[str, Any]
    view: dict[str, Any]


@dataclass(frozen=True)
class _Source:
    """A dataset reference, validated but not loaded."""

    reference: DatasetReference
    cls: type[DatasetSource]
    config: Options
    view: ViewOptions

    def load(self) -> Dataset:
        return load(self.reference.label, self.cls, self.config, self.view)


def load_dataset(reference: Reference, target: str) -> tuple[DatasetReference, Dataset]:
    """The dataset that a reference names, under its view.

    Raises:
        UsageError: an option is unknown or refused, or the dataset has nothing for this view.
        GenbenchError: the dataset can't be had.
    """
    source = _source(reference, target)
    return source.reference, source.load()


def _load_all(
    wanted: list[tuple[Reference, str]],
) -> tuple[list[tuple[DatasetReference, Dataset]], list[MissingDataset]]:
    """The datasets, and those that can't be had.

    Raises:
        UsageError: an option is unknown or refused.
    """
    loaded, missing = [], []
    for reference, target in wanted:
        try:
            source = _source(reference, target)
        except UsageError:
            raise
        except GenbenchError as error:
            missing.append(MissingDataset(str(reference), str(error), usage=False))
            continue
        try:
            loaded.append((source.reference, source.load()))
        except GenbenchError as error:
            missing.append(MissingDataset(source.reference.label, str(error), isinstance(error, UsageError)))
        except BaseException as error:  # this process only plans: whatever a dataset raises is its own
            reason = f"dataset '{source.reference.label}': {in_words(error, source.cls)}"
            missing.append(MissingDataset(source.reference.label, reason, usage=False))
    return loaded, missing


def _source(reference: Reference, target: str) -> _Source:
    """The source that a dataset reference names, its options validated.

    Raises:
        UsageError: an option is unknown or refused.
        GenbenchError: the source can't be imported, or its Config is none.
    """
    try:
        cls = import_target(target, DatasetSource)
    except (GenbenchError, SystemExit) as error:
        raise GenbenchError(f"dataset '{reference.name}': {error}") from error
    own, view_fields = cls.Config.model_fields, ViewOptions.model_fields
    for name in reference.options:
        if name not in own and name not in view_fields:
            raise UsageError(f"dataset '{reference.name}': {unknown('option', name, [*own, *view_fields])}")
    split = [
        Reference(reference.name, {k: v for k, v in reference.options.items() if (k in view_fields) == is_view})
        for is_view in (False, True)
    ]
    config = validate(cls.Config, split[0], "dataset")
    view = validate(ViewOptions, split[1], "dataset")
    label = reference_text(reference.name, changed(config) | changed(view))
    found = DatasetReference(reference.name, label, config.model_dump(mode="json"), changed(view))
    return _Source(found, cls, config, view)


def _found(dataset: Dataset) -> str:
    """A line on what was found of a user's files, with the sizes of the splits; empty for other datasets."""
    if not dataset.found:
        return ""
    return f"{dataset.found}; {', '.join(f'{len(getattr(dataset, name)):,} {name}' for name in SPLITS)}"


def capabilities(cls: type[Model]) -> list[str]:
    """The names of the capabilities that a model class has."""
    return [capability.__name__ for capability in CAPABILITIES if issubclass(cls, capability)]

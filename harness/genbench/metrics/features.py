"""Features of a model's samples and of data, made once per run and shared by the metrics that look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from genbench.data import Dataset
from genbench.data.device import DeviceSplit
from genbench.metrics.base import PROTOCOL_SEED, Metric, MetricError, NotApplicable, Subject, checked, choose, seeded
from genbench.metrics.extractors import Extractor, extractor_for, load_extractor
from genbench.metrics.feature_cache import cached
from genbench.model import Conditional, Sampler, snap
from genbench.options import FilePath, Options

#: Samples drawn, and data points passed through the extractor, at once.
CHUNK = 500

#: The test split's size is the default number of samples, up to this.
MAX_SAMPLES = 10_000

#: Fewer points than this make no distribution.
MIN_POINTS = 10

#: How far, in levels, a sample of discrete data may be from its grid.
GRID_TOLERANCE = 0.01


class FeatureConfig(Options):
    """Options of every metric that looks at features of samples."""

    extractor: str = Field(
        "auto", description="feature extractor: the one of the dataset's family, 'inception', or another's name"
    )
    weights: FilePath | None = Field(
        None, description="local file with the weights of 'inception', in place of a download"
    )
    n: int | None = Field(
        None, ge=MIN_POINTS, description=f"samples; by default as many as test points, at most {MAX_SAMPLES}"
    )


class FeatureMetric(Metric):
    """Base of the metrics that look at features of samples; samples and features are made once per run and shared."""

    Config: ClassVar[type[Options]] = FeatureConfig
    requires: ClassVar[tuple[type, ...]] = (Sampler,)
    config: FeatureConfig

    def protocol(self, dataset: Dataset) -> dict[str, Any]:
        """The options, with the extractor's name resolved and the hash of its weights."""
        protocol = super().protocol(dataset)
        del protocol["weights"]  # where the file lies makes no difference, what is in it does
        name = self.extractor_name(dataset)
        digest = None if name is None else load_extractor(name, torch.device("cpu"), self.config.weights).sha256
        return protocol | {"extractor": name, "extractor_sha256": digest}

    def extractor_name(self, dataset: Dataset) -> str | None:
        """The name of the extractor for this dataset, or None where there is none."""
        return extractor_for(dataset) if self.config.extractor == "auto" else self.config.extractor

    def extractor(self, subject: Subject) -> Extractor:
        """The extractor on the subject's device.

        Raises:
            NotApplicable: there is none for this data.
        """
        name = self.extractor_name(subject.dataset)
        if name is None:
            raise NotApplicable(
                f"no feature extractor for {subject.dataset.name}; Inception's can be asked for: "
                "fid[extractor=inception]"
            )
        key = ("extractor", name, self.config.weights)
        return once(subject, key, lambda: load_extractor(name, subject.device, self.config.weights))

    def sample_features(self, subject: Subject) -> Tensor:
        """Features of `config.n` samples, `(n, d)` float64 on the CPU.

        Raises:
            NotApplicable: there is no extractor for this data, or there are too few points.
            MetricError: the model's samples, or their features, are not what they should be.
        """
        extractor = self.extractor(subject)
        n = enough(self.config.n or min(len(subject.test), MAX_SAMPLES))
        return once(
            subject,
            ("features", extractor.name, extractor.sha256, "samples", n),
            lambda: _features(extractor, samples(subject, n).split(CHUNK), f"{type(subject.model).__name__}.sample"),
        )

    def data_features(self, subject: Subject, split: DeviceSplit, n: int | None = None) -> Tensor:
        """Features of the first `n` data points (default: all) of a split in protocol order, `(n, d)` float64 on the
        CPU.

        Under dynamic binarisation the training points are drawn once, the same for all models.

        Raises:
            NotApplicable: there is no extractor for this data, or there are too few points.
        """
        extractor = self.extractor(subject)
        index = choose(split, n)
        enough(len(index))

        def compute() -> Tensor:
            with seeded(PROTOCOL_SEED, subject.device):
                batches = [split.batch(part).x for part in index.split(CHUNK)]
                return _features(extractor, batches, f"the {split.name} split")

        source = (extractor.name, extractor.sha256, split.name, len(index))
        key = [subject.dataset.fingerprint, *source, PROTOCOL_SEED, CHUNK, subject.device.type]
        versions = {name: version(name) for name in ("genbench", "torch", "torch-fidelity")}
        return once(subject, ("features", *source), lambda: cached({"features": key} | versions, compute))


def samples(subject: Subject, n: int) -> Tensor:
    """`n` samples of the model, `(n, *shape)` float32 on its device: drawn once per run, from the run's seed.

    Raises:
        MetricError: they have the wrong shape, are not finite, are not of the data's levels, or repeat themselves.
    """
    return once(subject, ("samples", n), lambda: _draw(subject, n))


def once(subject: Subject, key: tuple, make: Callable[[], Any]) -> Any:
    """What `make` gives, made once per run for this `key`."""
    if key not in subject.memo:
        subject.memo[key] = make()
    return subject.memo[key]


def enough(n: int) -> int:
    """`n`, if so many points make a distribution.

    Raises:
        NotApplicable: they don't.
    """
    if n < MIN_POINTS:
        raise NotApplicable(f"needs {MIN_POINTS} data points, there are {n}")
    return n


def _features(extractor: Extractor, batches: Iterable[Tensor], source: str) -> Tensor:
    features = torch.cat([extractor(x).cpu() for x in batches])
    try:
        return checked(extractor, "features", features, (None, None))
    except MetricError as error:
        raise MetricError(f"{error}, given what came from {source}") from None


def _draw(subject: Subject, n: int) -> Tensor:
    model, data = subject.model, subject.data
    parts = []
    # a reference row hands out data points: all in one call, so that it repeats none
    chunk = CHUNK if isinstance(model, nn.Module) else n
    labels = subject.train.y() if isinstance(model, Conditional) else None
    with seeded(subject.seed, subject.device):
        for start in range(0, n, chunk):
            size = min(chunk, n - start)
            # a conditional model is given labels as frequent as the training data's
            given = () if labels is None else (labels[torch.randint(len(labels), (size,), device=labels.device)],)
            parts.append(checked(model, "sample", model.sample(size, *given), (size, *data.shape)).float())
    x = torch.cat(parts)
    if any(torch.equal(part, parts[0]) for part in parts[1:]) and (parts[0] != parts[0][:1]).any():
        raise MetricError(f"{type(model).__name__}.sample returned the same {CHUNK} samples twice: it does not draw")
    if data.levels is not None:
        source = f"{type(model).__name__}.sample"
        if x.min() < 0 or x.max() > 1:
            low, high = x.min() + 0.0, x.max() + 0.0  # + 0.0: no minus before a zero
            raise MetricError(f"{source} returned values from {low:.4g} to {high:.4g}, the data's are in [0, 1]")
        off = (x - snap(x, data.levels)).abs().max().item() * (data.levels - 1)
        if off > GRID_TOLERANCE:
            raise MetricError(
                f"{source} returned values that are up to {off:.2g} levels away from the data's {data.levels} levels; "
                "genbench.model.snap rounds to them"
            )
    return x

"""Do samples look like the data? Distances between two sets of features: those of samples and those of data.

The features are ours (`genbench.metrics.extractors`), the distances torch-fidelity's (`genbench.metrics.distances`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genbench.data import Dataset
from genbench.data.device import DeviceSplit
from genbench.metrics.base import (
    PROTOCOL_SEED,
    Measurement,
    Metric,
    MetricError,
    NotApplicable,
    Subject,
    checked,
    choose,
    seeded,
)
from genbench.metrics.extractors import extractor_for, load_extractor
from genbench.model import Sampler, snap
from genbench.options import Options

#: Samples drawn, and data points passed through the extractor, at once.
CHUNK = 500

#: The test split's size is the default number of samples, up to this.
MAX_SAMPLES = 10_000

#: A Fréchet distance from fewer than this many points per feature dimension is flagged: its bias is large.
POINTS_PER_DIMENSION = 3

#: Fewer points than this make no distribution.
MIN_POINTS = 10

#: How far, in levels, a sample of discrete data may be from its grid.
GRID_TOLERANCE = 0.01


class FidelityConfig(Options):
    """Options of every metric that compares features of samples with features of data."""

    extractor: str = Field(
        "auto", description="feature extractor: the one of the dataset's family, 'inception', or another's name"
    )
    weights: Path | None = Field(None, description="local file with the weights of 'inception', in place of a download")
    reference: Literal["train", "test"] = Field("train", description="the split that samples are compared with")
    n: int | None = Field(
        None, ge=MIN_POINTS, description=f"samples; by default as many as test points, at most {MAX_SAMPLES}"
    )
    n_reference: int | None = Field(
        None, ge=MIN_POINTS, description="data points of the reference split, at most; by default all"
    )


@dataclass(frozen=True)
class Features:
    """Features of samples `(n, d)` and of reference data `(n_reference, d)`, float64 on the CPU, and how they came."""

    generated: Tensor
    reference: Tensor
    settings: dict[str, Any]

    @property
    def points(self) -> int:
        """The size of the smaller set."""
        return min(len(self.generated), len(self.reference))


class Fidelity(Metric):
    """Base of the metrics that compare features; samples and features are computed once per run and shared."""

    Config: ClassVar[type[Options]] = FidelityConfig
    requires: ClassVar[tuple[type, ...]] = (Sampler,)
    config: FidelityConfig

    def protocol(self, dataset: Dataset) -> dict[str, Any]:
        """The options, with the extractor's name resolved and the hash of its weights."""
        protocol = super().protocol(dataset)
        del protocol["weights"]  # where the file lies makes no difference, what is in it does
        name = self._extractor_name(dataset)
        digest = None if name is None else load_extractor(name, torch.device("cpu"), self.config.weights).sha256
        return protocol | {"extractor": name, "extractor_sha256": digest}

    def features(self, subject: Subject) -> Features:
        """Features of the samples and of the reference data.

        Raises:
            NotApplicable: there is no extractor for this data, or there are too few points.
        """
        name = self._extractor_name(subject.dataset)
        if name is None:
            raise NotApplicable(
                f"no feature extractor for {subject.dataset.name}; Inception's can be asked for: "
                "fid[extractor=inception]"
            )
        n = self.config.n or min(len(subject.test), MAX_SAMPLES)
        split = subject.train if self.config.reference == "train" else subject.test
        if min(n, len(split)) < MIN_POINTS:
            raise NotApplicable(f"needs {MIN_POINTS} data points, there are {min(n, len(split))}")
        extractor = _once(
            subject,
            ("extractor", name, self.config.weights),
            lambda: load_extractor(name, subject.device, self.config.weights),
        )
        source = (extractor.name, extractor.sha256)
        generated = _once(
            subject,
            ("features", *source, "samples", n),
            lambda: torch.cat([extractor(x).cpu() for x in samples(subject, n).split(CHUNK)]),
        )
        reference = _once(
            subject,
            ("features", *source, self.config.reference, self.config.n_reference),
            lambda: _data_features(extractor, split, self.config.n_reference, subject.device),
        )
        settings = {
            "n": n,
            "n_reference": len(reference),
            "reference": self.config.reference,
            "extractor": extractor.name,
            "extractor_sha256": extractor.sha256,
            "dims": generated.shape[1],
        }
        return Features(generated, reference, settings)

    def _extractor_name(self, dataset: Dataset) -> str | None:
        return extractor_for(dataset) if self.config.extractor == "auto" else self.config.extractor


class FrechetDistance(Fidelity):
    """FID: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of the two sets' feature means and covariances (Heusel et al.
    2017). Biased upwards, the more the fewer points: compare it only at equal `n` and `n_reference`.

    `settings["small_n"]` is true below three points per feature dimension, where the bias dominates.
    """

    names: ClassVar[tuple[str, ...]] = ("fid",)
    quick: ClassVar[dict[str, Any] | None] = {"n": 500, "n_reference": 2000}

    def measure(self, subject: Subject) -> list[Measurement]:
        features = self.features(subject)
        value = _distances(features.generated, features.reference, fid=True)["frechet_inception_distance"]
        settings = features.settings | {"small_n": features.points < POINTS_PER_DIMENSION * features.settings["dims"]}
        # a squared distance: what is below zero is rounding
        return [Measurement("fid", max(value, 0.0), "estimate", "lower", settings=settings)]


class KernelDistance(Fidelity):
    """KID: squared maximum mean discrepancy with the kernel (x·y/d + 1)^3, averaged over random subsets of both sets
    (Bińkowski et al. 2018). Unbiased, so it may be negative. The spread over subsets is no standard error, and none is
    given."""

    class Config(FidelityConfig):
        """Options of `kid`."""

        subsets: int = Field(100, ge=1, description="random subsets that are averaged over")
        subset_size: int = Field(1000, ge=2, description="points in a subset; at most half of the smaller set")

    names: ClassVar[tuple[str, ...]] = ("kid",)
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        features = self.features(subject)
        subset_size = min(self.config.subset_size, features.points // 2)
        value = _distances(
            features.generated,
            features.reference,
            kid=True,
            kid_subsets=self.config.subsets,
            kid_subset_size=subset_size,
        )["kernel_inception_distance_mean"]
        settings = features.settings | {"subsets": self.config.subsets, "subset_size": subset_size}
        return [Measurement("kid", value, "estimate", "lower", settings=settings)]


class PrecisionRecall(Fidelity):
    """Precision: the share of samples that lie within some data point's distance to its k-th nearest neighbour among
    the data. Recall: the same with samples and data exchanged (Kynkäänniemi et al. 2019).

    Both depend on how dense the sets are, so that equally many points of both are used: the smaller set's number.
    """

    class Config(FidelityConfig):
        """Options of `precision_recall`."""

        k: int = Field(3, ge=1, lt=MIN_POINTS, description="the neighbour whose distance is a ball's radius")

    names: ClassVar[tuple[str, ...]] = ("precision", "recall")
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        features = self.features(subject)
        n = features.points
        values = _distances(
            features.generated[:n],
            features.reference[:n],
            prc=True,
            prc_neighborhood=self.config.k,
            prc_batch_size=1000,  # distances are held for this many points at a time
        )
        settings = features.settings | {"n": n, "n_reference": n, "k": self.config.k}
        return [
            Measurement(name, values[name], "estimate", "higher", settings=settings) for name in ("precision", "recall")
        ]


def samples(subject: Subject, n: int) -> Tensor:
    """`n` samples of the model, `(n, *shape)` float32 on its device: drawn once per run, from the run's seed.

    Raises:
        MetricError: they have the wrong shape, are not finite, are not of the data's levels, or repeat themselves.
    """
    return _once(subject, ("samples", n), lambda: _draw(subject, n))


def _draw(subject: Subject, n: int) -> Tensor:
    model, data = subject.model, subject.data
    parts = []
    # a reference row hands out data points: all in one call, so that it repeats none
    chunk = CHUNK if isinstance(model, nn.Module) else n
    with seeded(subject.seed, subject.device):
        for start in range(0, n, chunk):
            size = min(chunk, n - start)
            parts.append(checked(model, "sample", model.sample(size), (size, *data.shape)).float())
    x = torch.cat(parts)
    if any(torch.equal(part, parts[0]) for part in parts[1:]) and (parts[0] != parts[0][:1]).any():
        raise MetricError(f"{type(model).__name__}.sample returned the same {CHUNK} samples twice: it does not draw")
    if data.levels is not None:
        source = f"{type(model).__name__}.sample"
        if x.min() < 0 or x.max() > 1:
            raise MetricError(f"{source} returned values from {x.min():.4g} to {x.max():.4g}, the data's are in [0, 1]")
        off = (x - snap(x, data.levels)).abs().max().item() * (data.levels - 1)
        if off > GRID_TOLERANCE:
            raise MetricError(
                f"{source} returned values that are up to {off:.2g} levels away from the data's {data.levels} levels; "
                "genbench.model.snap rounds to them"
            )
    return x


def _data_features(extractor: Any, split: DeviceSplit, n: int | None, device: torch.device) -> Tensor:
    with seeded(PROTOCOL_SEED, device):  # a split that is binarised anew at every access is the same for all models
        return torch.cat([extractor(split.batch(index).x).cpu() for index in choose(split, n).split(CHUNK)])


def _once(subject: Subject, key: tuple, make: Any) -> Any:
    if key not in subject.memo:
        subject.memo[key] = make()
    return subject.memo[key]


def _distances(generated: Tensor, reference: Tensor, **options: Any) -> dict[str, float]:
    # torch-fidelity takes seconds to import, and planning a run needs these metrics' options only
    from genbench.metrics.distances import distances

    return distances(generated, reference, **options)

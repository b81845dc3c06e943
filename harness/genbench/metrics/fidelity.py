"""Do samples look like the data? Distances between two sets of features: those of samples and those of data."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from genbench.data import Dataset
from genbench.metrics.base import Measurement, Subject
from genbench.metrics.features import MIN_POINTS, FeatureConfig, FeatureMetric
from genbench.metrics.frechet import frechet
from genbench.metrics.kernel import kernel_distance
from genbench.metrics.memorisation import memorisation_flags
from genbench.metrics.neighbours import density_coverage
from genbench.metrics.resampling import GROUPS, wilson
from genbench.options import Options

#: A Fréchet distance from fewer than this many points per feature is flagged, and has no error bar: none would cover.
POINTS_PER_DIMENSION = 3

FEW_POINTS = f"fewer than {POINTS_PER_DIMENSION} points per feature dimension"

ALL_ALIKE = "the same for every point: the standard error says too little"

#: Features that differ by less than this beside the features themselves are the same.
ROUNDING = 1e-10

#: Data points that a kernel distance uses at most: its time grows with their square.
MAX_KERNEL_POINTS = 10_000

#: A value, its standard error, and its 95% interval where that is another.
Score = tuple[float, float, tuple[float, float] | None]


class FidelityConfig(FeatureConfig):
    """Options of every metric that compares features of samples with features of data."""

    reference: Literal["train", "test"] = Field("train", description="the split that samples are compared with")
    n_reference: int | None = Field(
        None, ge=MIN_POINTS, description="data points of the reference split, at most; by default all"
    )
    memorisation: bool = Field(
        True, description="flag samples that copy training data; needs the features of all of it"
    )


@dataclass(frozen=True)
class Features:
    """Features of samples `(n, d)` and of reference data `(n_reference, d)`, float64 on the CPU, how they came, and
    what a score of them must be read with."""

    generated: Tensor
    reference: Tensor
    settings: dict[str, Any]
    flags: tuple[str, ...]

    @property
    def points(self) -> int:
        """The size of the smaller set."""
        return min(len(self.generated), len(self.reference))


def is_constant(features: Tensor) -> bool:
    """Whether features `(n, d)` differ by rounding at most."""
    spread = features.amax(0) - features.amin(0)
    return bool(spread.max() <= ROUNDING * features.abs().max())


class Fidelity(FeatureMetric):
    """Base of the metrics that compare features of samples with features of data."""

    Config: ClassVar[type[Options]] = FidelityConfig
    config: FidelityConfig

    def protocol(self, dataset: Dataset) -> dict[str, Any]:
        """The options, with the extractor's name resolved and the hash of its weights."""
        protocol = super().protocol(dataset)
        del protocol["memorisation"]  # it changes no number
        return protocol

    def features(self, subject: Subject) -> Features:
        """Features of the samples and of the reference data.

        Raises:
            NotApplicable: there is no extractor for this data, or there are too few points.
            MetricError: the model's samples, or their features, are not what they should be.
        """
        split = subject.train if self.config.reference == "train" else subject.test
        extractor = self.extractor(subject)
        generated = self.sample_features(subject)
        reference = self.data_features(subject, split, self.config.n_reference)
        settings = {
            "n": len(generated),
            "n_reference": len(reference),
            "reference": self.config.reference,
            "extractor": extractor.name,
            "extractor_sha256": extractor.sha256,
            "dims": generated.shape[1],
        }
        flags = memorisation_flags(self, subject) if self.config.memorisation else ()
        constant = tuple(
            f"the features of the {source} are all the same"
            for source, features in (("samples", generated), ("data", reference))
            if is_constant(features)
        )
        return Features(generated, reference, settings, flags + constant)


class FrechetDistance(Fidelity):
    """FID (Heusel et al. 2017). `fid` is corrected for the bias that finite sets give it, and may be negative;
    `fid_plugin` is what other tools report, which falls as `n` and `n_reference` grow.

    The correction and the standard error are the jackknife's (`genbench.metrics.frechet`). Below three points per
    feature dimension both are flagged, and there is no standard error: it would be too small.
    """

    names: ClassVar[tuple[str, ...]] = ("fid", "fid_plugin")

    def quick(self) -> dict[str, Any]:
        return {"n": 500, "n_reference": 2000, "memorisation": False}

    def measure(self, subject: Subject) -> list[Measurement]:
        features = self.features(subject)
        found = frechet(features.generated, features.reference)
        settings = features.settings | {"groups": GROUPS}
        few = features.points < POINTS_PER_DIMENSION * features.settings["dims"]
        flags = (*features.flags, *((FEW_POINTS,) if few else ()))
        stderr, interval = (None, None) if few else (found.stderr, found.interval)
        return [
            Measurement("fid", found.debiased, "estimate", "lower", "", stderr, settings, interval, flags),
            Measurement("fid_plugin", found.plug_in, "estimate", "lower", settings=features.settings, flags=flags),
        ]


class KernelDistance(Fidelity):
    """KID: the squared maximum mean discrepancy with the kernel (x·y/d + 1)^3 (Bińkowski et al. 2018), from all pairs
    of points: what its mean over random subsets estimates, without their noise. Unbiased, so it may be negative. Its
    standard error is the jackknife's."""

    names: ClassVar[tuple[str, ...]] = ("kid",)

    def measure(self, subject: Subject) -> list[Measurement]:
        features = self.features(subject)
        reference = features.reference[:MAX_KERNEL_POINTS]
        found = kernel_distance(features.generated, reference)
        settings = features.settings | {"n_reference": len(reference), "groups": GROUPS}
        return [
            Measurement(
                "kid", found.distance, "estimate", "lower", "", found.stderr, settings, found.interval, features.flags
            )
        ]


class Neighbourhoods(Fidelity):
    """Base of the metrics that ask who lies in whose neighbourhood, and give a pair of numbers.

    Neighbourhoods depend on how dense the sets are, so that equally many points of both are used: the smaller set's
    number.
    """

    def measure(self, subject: Subject) -> list[Measurement]:
        features = self.features(subject)
        n = features.points
        settings = features.settings | {"n": n, "n_reference": n} | self.config.model_dump(include={"k"})
        scores = self.scores(features.generated[:n], features.reference[:n])

        def flags(stderr: float, interval: tuple[float, float] | None) -> tuple[str, ...]:
            return (*features.flags, ALL_ALIKE) if stderr == 0 and interval is None else features.flags

        return [
            Measurement(name, value, "estimate", "higher", "", stderr, settings, interval, flags(stderr, interval))
            for name, (value, stderr, interval) in zip(self.names, scores, strict=True)
        ]

    @abstractmethod
    def scores(self, samples: Tensor, data: Tensor) -> list[Score]:
        """A value, its standard error and its interval for each of `names`, from features `(n, d)` of both."""


class PrecisionRecall(Neighbourhoods):
    """Precision: the share of samples that lie within some data point's distance to its k-th nearest neighbour among
    the data. Recall: the same with samples and data exchanged (Kynkäänniemi et al. 2019), both by torch-fidelity.

    Their standard errors are binomial and their intervals Wilson's: precision's over samples, given the data, recall's
    over data, given the samples.
    """

    class Config(FidelityConfig):
        """Options of `precision_recall`."""

        k: int = Field(3, ge=1, lt=MIN_POINTS, description="the neighbour whose distance is a ball's radius")

    names: ClassVar[tuple[str, ...]] = ("precision", "recall")
    config: Config

    def scores(self, samples: Tensor, data: Tensor) -> list[Score]:
        # torch-fidelity takes seconds to import, and planning a run needs these metrics' options only
        from genbench.metrics.distances import precision_recall

        return [_proportion(share, len(data)) for share in precision_recall(samples, data, self.config.k)]


class DensityCoverage(Neighbourhoods):
    """Density: in how many data points' neighbourhoods a sample lies, relative to k. Coverage: the share of data points
    with a sample in their neighbourhood (Naeem et al. 2020). A neighbourhood reaches to the k-th nearest data point.

    For equal distributions density is about 1, and coverage about 1 - 2^-k.
    Standard errors are those of means: density's over samples, given the data, coverage's over data, given the samples.
    """

    class Config(FidelityConfig):
        """Options of `density_coverage`."""

        k: int = Field(5, ge=1, lt=MIN_POINTS, description="the neighbour whose distance is a neighbourhood's radius")

    names: ClassVar[tuple[str, ...]] = ("density", "coverage")
    config: Config

    def scores(self, samples: Tensor, data: Tensor) -> list[Score]:
        density, covered = density_coverage(samples, data, self.config.k)
        return [
            (density.mean().item(), density.std().item() / math.sqrt(len(density)), None),
            _proportion(covered.mean().item(), len(covered)),
        ]


def _proportion(share: float, n: int) -> Score:
    return share, math.sqrt(share * (1 - share) / n), wilson(share, n)

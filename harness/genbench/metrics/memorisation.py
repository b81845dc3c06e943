"""Are samples copies of training data? Whether they lie nearer to it than to data that was held out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genbench.metrics.base import Measurement, Subject
from genbench.metrics.features import MIN_POINTS, FeatureMetric, once
from genbench.metrics.neighbours import nearest

#: What is flagged: more copies than this, at more than so many standard errors from none.
COPIES, SIGNIFICANT = 0.1, 3.0

FLAG = "memorised: nearer to training than to held-out data"
ONE_SIDED = "all samples are nearest to one split, which may be chance: the standard error says too little"


@dataclass(frozen=True)
class Memorised:
    """Whose neighbours the samples are.

    Attributes:
        share: the share of samples whose nearest data point is a training point; ties count in parts.
        expected: that share where samples do not depend on which points were trained on.
        stderr: standard error of `share`; samples with the same nearest point are one cluster.
        null_stderr: standard deviation of `share` where samples do not depend on which points were trained on.
    """

    share: float
    expected: float
    stderr: float
    null_stderr: float

    @property
    def copies(self) -> float:
        """`share` so scaled that independent samples give 0 on average, and copies of training points 1."""
        return (self.share - self.expected) / (1 - self.expected)

    @property
    def z(self) -> float:
        """How many of its standard deviations `share` is above `expected`; 0 where it can't be anything else."""
        return (self.share - self.expected) / self.null_stderr if self.null_stderr > 0 else 0.0

    @property
    def flags(self) -> tuple[str, ...]:
        """What to warn of."""
        return (FLAG,) if self.z > SIGNIFICANT and self.copies > COPIES else ()


def memorised(samples: Tensor, train: Tensor, held_out: Tensor) -> Memorised:
    """Compare the samples' nearest points among training and held-out data, pooled.

    Where samples do not depend on which of the points were trained on, the labels "training" and "held out" could be
    exchanged, whatever the samples look like: so are the expectation and the variance of the share of training points
    among the nearest ones, weighted by how many samples each is nearest to, that of drawing labels without replacement.

    Args:
        samples: features `(n, d)` float64.
        train: features of all training points, `(t, d)` float64.
        held_out: features of data from the same distribution that no training has seen, `(h, d)` float64.
    """
    counts = nearest(samples, torch.cat([train, held_out]))
    n, size = len(samples), len(counts)
    expected = len(train) / size
    is_train = torch.arange(size) < len(train)
    share = (counts[is_train].sum() / n).item()
    squares = counts.square()
    stderr = math.sqrt((squares * (is_train.double() - share).square()).sum().item()) / n
    unequal = squares.sum().item() - n**2 / size
    if unequal < 1e-9 * n**2:  # rounding: all points are equally near to all samples
        unequal = 0.0
    null_stderr = math.sqrt(expected * (1 - expected) * unequal * size / (size - 1)) / n
    return Memorised(share, expected, stderr, null_stderr)


def check(metric: FeatureMetric, subject: Subject) -> Memorised:
    """The samples of the metric against the training and validation splits, by the metric's extractor: once per run.

    Raises:
        NotApplicable: there is no extractor for this data, or there are too few points.
        MetricError: the model's samples, or their features, are not what they should be.
    """
    samples = metric.sample_features(subject)
    extractor = metric.extractor(subject)
    train, held_out = (metric.data_features(subject, split) for split in (subject.train, subject.validation))
    key = ("memorised", extractor.name, extractor.sha256, len(samples))
    return once(subject, key, lambda: memorised(samples, train, held_out))


def memorisation_flags(metric: FeatureMetric, subject: Subject) -> tuple[str, ...]:
    """What a score of these samples must be read with; nothing where too few points are held out to tell."""
    return check(metric, subject).flags if len(subject.validation) >= MIN_POINTS else ()


class Memorisation(FeatureMetric):
    """`memorisation`: about the share of samples that are copies of training points. 0 on average for a model that
    generalises, whatever its quality, 1 for one that copies; from the share of samples that lie nearer to a training
    point than to any point of the validation split (the idea of Meehan, Chaudhuri & Dasgupta 2020).

    Neither direction is better: what is below 0 is chance, or nearness to the validation split.

    The training and validation splits have to be random parts of one whole. Choosing the best weights by their
    validation loss brings samples nearer to validation data, if at all. Under dynamic binarisation, copies of the grey
    pictures are seen by chance only.
    """

    names: ClassVar[tuple[str, ...]] = ("memorisation",)

    def measure(self, subject: Subject) -> list[Measurement]:
        samples, extractor = self.sample_features(subject), self.extractor(subject)
        found = check(self, subject)
        settings = {
            "n": len(samples),
            "n_train": len(subject.train),
            "n_validation": len(subject.validation),
            "extractor": extractor.name,
            "extractor_sha256": extractor.sha256,
            "dims": samples.shape[1],
            "share": found.share,
            "expected": found.expected,
            "z": found.z,
        }
        stderr = found.stderr / (1 - found.expected)
        flags = found.flags or ((ONE_SIDED,) if found.share in (0.0, 1.0) else ())
        return [
            Measurement("memorisation", found.copies, "estimate", "neither", "", stderr, settings, flags=flags),
        ]

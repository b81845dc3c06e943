"""`memorised` on samples of which a known share are copies."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import torch
from torch import Tensor

from genbench.metrics.memorisation import Memorised, memorised
from genbench.selftest.base import Check
from genbench.selftest.coverage import DRAWS, coverage

TRAIN, HELD_OUT, SAMPLES = 150, 50, 100
#: Labellings of the same data that the standard deviation under the null is simulated with.
LABELLINGS = 4000


def memorisation() -> Iterator[Check]:
    """Copies, points of the data's own distribution and mixtures of both; labels that are exchanged at random."""
    yield Check("copies of training points", 1.0, _draw(1.0).copies, tolerance=1e-9)
    yield Check.of_mean("independent samples", 0.0, [_draw(0.0).copies for _ in range(DRAWS)])
    mixed = [_draw(0.4) for _ in range(DRAWS)]
    yield Check.of_mean("40% copies", 0.4, [each.copies for each in mixed])
    errors = [1.96 * each.stderr / (1 - each.expected) for each in mixed]
    intervals = [(each.copies - error, each.copies + error) for each, error in zip(mixed, errors, strict=True)]
    yield coverage("40% copies: coverage", 0.4, intervals)

    # samples in a corner of the data, whose neighbours are few and shared
    samples, data = 0.3 * _normal(SAMPLES) + 1, _normal(TRAIN + HELD_OUT)
    shuffled = (data[torch.randperm(len(data))] for _ in range(LABELLINGS))
    found = [memorised(samples, points[:TRAIN], points[TRAIN:]) for points in shuffled]
    shares = [each.share for each in found]
    yield Check.of_mean("exchanged labels: share", TRAIN / len(data), shares)
    deviation = statistics.stdev(shares)
    error = deviation / math.sqrt(2 * (LABELLINGS - 1))
    yield Check("exchanged labels: standard deviation", deviation, found[0].null_stderr, stderr=error)


def _draw(copied: float) -> Memorised:
    """Samples of which this share are copies of training points, the others independent."""
    train, held_out = _normal(TRAIN), _normal(HELD_OUT)
    copies = round(copied * SAMPLES)
    return memorised(torch.cat([train[:copies], _normal(SAMPLES - copies)]), train, held_out)


def _normal(n: int) -> Tensor:
    return torch.randn(n, 3, dtype=torch.float64)

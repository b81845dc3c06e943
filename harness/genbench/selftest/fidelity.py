"""Distances between sets of features whose distributions are known, and the numbers of torch-fidelity."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from genbench.metrics.frechet import frechet, plug_in
from genbench.metrics.kernel import kernel_distance
from genbench.metrics.neighbours import density_coverage
from genbench.selftest.base import Check
from genbench.selftest.coverage import DRAWS, coverage, spread

DIMS = 6
#: What torch-fidelity's numbers may differ by, relatively.
PARITY = 1e-6
#: Rounding of square roots of eigenvalues that are zero.
ROUNDING = 1e-6


def fidelity() -> Iterator[Check]:
    """FID, KID, precision and recall, density and coverage where they are known."""
    yield from _frechet()
    yield from _kernel()
    yield from _parity()
    yield from _identical()
    yield from _apart()
    yield from _alike()


def _frechet() -> Iterator[Check]:
    """Normal distributions with covariances that do not commute: close ones, where most of the distance that is seen
    is its bias, and others."""
    for what, d, change in (("close normals", 12, 0.1), ("normals", 6, 0.4)):
        mean = change * torch.ones(d, dtype=torch.float64)
        roots = [torch.eye(d, dtype=torch.float64) + change * _normal(d, d) / math.sqrt(d) for _ in range(2)]
        first, second = ((root.T @ root).numpy() for root in roots)
        cross = float(np.trace(sqrtm(first @ second)).real)
        known = mean.square().sum().item() + float(np.trace(first) + np.trace(second)) - 2 * cross
        found = [frechet(_normal(600, d) @ roots[0], _normal(600, d) @ roots[1] + mean) for _ in range(DRAWS)]
        distances = [each.debiased for each in found]
        yield Check.of_mean(f"FID of {what}, less its bias", known, distances)
        yield coverage(f"FID of {what}: coverage", known, [each.interval for each in found])
    # of the last case: the jackknife is too careful about close ones
    yield spread(f"FID of {what}: stderr² / variance", distances, [each.stderr for each in found])


def _kernel() -> Iterator[Check]:
    """Normal distributions with the same and with different means."""
    for what, shift in (("equal normals", 0.0), ("normals", 0.5)):
        known = _kernel_between(0, 0) + _kernel_between(shift, shift) - 2 * _kernel_between(0, shift)
        found = [kernel_distance(_normal(400, DIMS), _normal(500, DIMS) + shift) for _ in range(DRAWS)]
        distances = [each.distance for each in found]
        yield Check.of_mean(f"KID of {what}", known, distances)
        yield coverage(f"KID of {what}: coverage", known, [each.interval for each in found])
    # of the last case: the jackknife is too careful about equal ones
    yield spread(f"KID of {what}: stderr² / variance", distances, [each.stderr for each in found])


def _kernel_between(p: float, q: float) -> float:
    """E (a·b/d + 1)³ of independent a ~ N(p, I) and b ~ N(q, I) in d dimensions, whose means are p and q throughout.

    Given a, a·b is normal with mean a·q and variance |a|²; what is left are moments of a.
    """
    d = DIMS
    pp, qq, pq = d * p * p, d * q * q, d * p * q
    second = pq**2 + qq + pp + d
    third = pq**3 + 3 * pq * qq + 3 * (pq * (pp + d) + 2 * pq)
    return 1 + 3 * pq / d + 3 * second / d**2 + third / d**3


def _parity() -> Iterator[Check]:
    """torch-fidelity's own functions on the same features."""
    from torch_fidelity import metric_fid, metric_kid  # takes seconds

    one_subset = {"kid_subsets": 1, "rng_seed": 0, "verbose": False}
    for n, d in ((150, 6), (30, 48)):
        x, y = _normal(n, d), _normal(n, d).exp()
        statistics = [metric_fid.fid_features_to_statistics(features) for features in (x, y)]
        fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
        yield Check(f"torch-fidelity's FID, {n} × {d}", fid, plug_in(x, y), tolerance=PARITY * fid)
        theirs = metric_kid.kid_features_to_metric(x, y, kid_subset_size=n, **one_subset)
        kid = theirs["kernel_inception_distance_mean"]
        yield Check(f"torch-fidelity's KID, {n} × {d}", kid, kernel_distance(x, y).distance, tolerance=PARITY * kid)


def _identical() -> Iterator[Check]:
    """A set against itself: every ball holds its centre and k others."""
    x = _normal(100, DIMS)
    yield Check("a set and itself: FID, plug-in", 0.0, plug_in(x, x), tolerance=ROUNDING)
    yield from _neighbourhoods("a set and itself", x, x, (1.0, 1.0, 6 / 5, 1.0))


def _apart() -> Iterator[Check]:
    """Samples of which a quarter are copies of half of the data, and nothing else is near anything."""
    shared, data, samples = _normal(50, DIMS), _normal(50, DIMS) + 100, _normal(150, DIMS) - 100
    samples, data = torch.cat([shared, samples]), torch.cat([shared, data])
    yield from _neighbourhoods("copies of half the data", samples, data, (1 / 4, 1 / 2, 6 / 5 / 4, 1 / 2))


def _neighbourhoods(what: str, samples: Tensor, data: Tensor, known: tuple[float, ...]) -> Iterator[Check]:
    from genbench.metrics.distances import precision_recall  # imports torch-fidelity, which takes seconds

    density, covered = density_coverage(samples, data, 5)
    estimates = (*precision_recall(samples, data, 3), density.mean().item(), covered.mean().item())
    for name, answer, estimate in zip(("precision", "recall", "density", "coverage"), known, estimates, strict=True):
        yield Check(f"{what}: {name}", answer, estimate, tolerance=1e-9)


def _alike() -> Iterator[Check]:
    """Equal distributions, of which every order of all distances from a data point is equally probable. Its ball then
    holds a sample with probability k/n, and none if its k nearest points are all data (Naeem et al. 2020, lemma 2)."""
    n, m, k = 80, 60, 5
    found = [density_coverage(_normal(m, 2), _normal(n, 2), k) for _ in range(DRAWS)]
    yield Check.of_mean("equal distributions: density", 1.0, [density.mean().item() for density, _ in found])
    known = 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))
    yield Check.of_mean("equal distributions: coverage", known, [covered.mean().item() for _, covered in found])


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)

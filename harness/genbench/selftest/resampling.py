"""The jackknife and the bootstrap where what they estimate has a formula."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from scipy.stats import t as student

from genbench.metrics.resampling import bootstrap, jackknife
from genbench.selftest.base import Check
from genbench.selftest.coverage import coverage

ROUNDING = 1e-9
#: Bootstraps, each of a thousand samples.
BOOTSTRAPS = 200


def resampling() -> Iterator[Check]:
    """Textbook errors of a mean, the bias of a variance, and what bootstrap intervals hold."""
    n = 50
    x = torch.randn(n, dtype=torch.float64).numpy()
    error = float(x.std(ddof=1)) / math.sqrt(n)
    mean = jackknife(float(x.mean()), [float(np.delete(x, i).mean()) for i in range(n)])
    yield Check("jackknife: stderr of a mean", error, mean.stderr, tolerance=ROUNDING)
    margin = float(student.ppf(0.975, n - 1)) * error
    yield Check("jackknife: half an interval", margin, mean.margin, tolerance=ROUNDING)
    variance = jackknife(float(x.var()), [float(np.delete(x, i).var()) for i in range(n)])
    yield Check("jackknife: variance less its bias", float(x.var(ddof=1)), variance.debiased, tolerance=ROUNDING)

    true_mean, n = 3.0, 100
    found = [bootstrap(true_mean + torch.randn(n, dtype=torch.float64).numpy()) for _ in range(BOOTSTRAPS)]
    # the mean of a bootstrap sample has the variance of the points, divided by n once more: too small by (n - 1)/n
    squares = [each.stderr**2 * n / (n - 1) for each in found]
    yield Check.of_mean("bootstrap: stderr² of a mean", 1 / n, squares)
    yield coverage("bootstrap: coverage", true_mean, [each.interval for each in found])

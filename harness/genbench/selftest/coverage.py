"""Whether error bars are honest: what many draws of an estimator show."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from genbench.selftest.base import Check

#: Draws that are looked at.
DRAWS = 500
#: What share of them a 95% interval has to hold the truth in, at least.
BAR = 0.95


def coverage(estimator: str, known: float, intervals: Sequence[tuple[float, float]]) -> Check:
    """The share of 95% intervals that hold the known answer is 95% at least, but for the error of so many draws."""
    share = sum(low <= known <= high for low, high in intervals) / len(intervals)
    return Check(estimator, BAR, share, stderr=math.sqrt(BAR * (1 - BAR) / len(intervals)), relation="at_least")


def spread(estimator: str, draws: Sequence[float], stderrs: Sequence[float]) -> Check:
    """Standard errors, squared, are on average the variance of the draws; 1 is their ratio.

    The variance of n draws is known to sqrt(2/(n - 1)) of it, which is more than the mean is unsure by.
    """
    claimed = math.fsum(stderr**2 for stderr in stderrs) / len(stderrs)
    ratio = claimed / statistics.variance(draws)
    return Check(estimator, 1.0, ratio, stderr=math.sqrt(2 / (len(draws) - 1)))

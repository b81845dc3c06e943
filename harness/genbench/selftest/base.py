"""One proven fact: what an estimator says where the answer is known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

#: How far an estimate may be from the known answer, in its standard errors; Gaussian errors are farther 6 times in ten
#: million, so that hundreds of checks pass from any seed.
STANDARD_ERRORS = 5.0

Relation = Literal["equal", "at_most", "at_least"]


def standard_errors(degrees: float) -> float:
    """How many standard errors away are as improbable as `STANDARD_ERRORS`, where the error is itself an estimate with
    so many degrees of freedom: 7.4 for 19, 12.4 for 9."""
    if math.isinf(degrees):
        return STANDARD_ERRORS
    from scipy.stats import norm, t  # takes half a second, which `genbench --help` does not have

    return float(t.isf(norm.sf(STANDARD_ERRORS), degrees))


@dataclass(frozen=True)
class Check:
    """What an estimator says where the answer is known.

    An estimate with a standard error passes within 5 of them, or within `standard_errors(degrees)` where the error is
    estimated from little; a deterministic one passes within its tolerance. Where `relation` is `"at_most"` or
    `"at_least"` it may also be as far below or above the known answer as it likes.

    Attributes:
        estimator: what was asked, in a few words, e.g. `"importance-weighted bound, K = 8"`.
        known: the answer, by a closed form, an enumeration or a quadrature.
        estimate: what the estimator says.
        stderr: standard error of `estimate - known`; None where nothing is random.
        tolerance: the largest difference that rounding may make; None where there is a standard error.
        relation: what `estimate` is to be: `"equal"` to `known`, `"at_most"` or `"at_least"` it.
        degrees: degrees of freedom of `stderr`.

    Raises:
        ValueError: there is neither a standard error nor a tolerance, or both, or it is not positive.
    """

    estimator: str
    known: float
    estimate: float
    stderr: float | None = None
    tolerance: float | None = None
    relation: Relation = "equal"
    degrees: float = math.inf

    def __post_init__(self) -> None:
        if (self.stderr is None) == (self.tolerance is None):
            raise ValueError(f"{self.estimator}: a check has either a standard error or a tolerance")
        if self.unit <= 0:
            raise ValueError(f"{self.estimator}: its standard error or tolerance is {self.unit}, not positive")

    @classmethod
    def of_mean(cls, estimator: str, known: float, draws: Iterable[float], relation: Relation = "equal") -> Check:
        """The mean of independent `draws`, at least two, with the standard error that their spread gives it."""
        values = list(draws)
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        stderr = math.sqrt(variance / len(values))
        return cls(estimator, known, mean, stderr=stderr, relation=relation, degrees=len(values) - 1)

    @property
    def unit(self) -> float:
        """What `away` counts: the standard error or the tolerance."""
        unit = self.tolerance if self.stderr is None else self.stderr
        assert unit is not None  # see __post_init__
        return unit

    @property
    def away(self) -> float:
        """`estimate - known` in standard errors, or in tolerances where the comparison is deterministic."""
        return (self.estimate - self.known) / self.unit

    @property
    def verdict(self) -> Literal["ok", "failed"]:
        """Whether the estimator is right; numbers that are not finite never are."""
        if not (math.isfinite(self.away) and math.isfinite(self.unit)):
            return "failed"
        limit = 1.0 if self.stderr is None else standard_errors(self.degrees)
        too_high = self.away > limit and self.relation != "at_least"
        too_low = self.away < -limit and self.relation != "at_most"
        return "failed" if too_high or too_low else "ok"

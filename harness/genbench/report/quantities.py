"""Numbers as people read them, and the interval of a mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from operator import mul

#: The two-sided 95% quantile of the normal distribution.
NORMAL_95 = 1.959963984540054

#: Of numbers that were computed in float64: a relative difference that says nothing.
ROUNDING = 1e-12

_SUFFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))
_MOST_DECIMALS = 6


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of at least one value, free of rounding where all are equal."""
    return values[0] if min(values) == max(values) else math.fsum(values) / len(values)


def agree(values: Sequence[float], scale: float = 0.0) -> bool:
    """Whether values, or differences of numbers of this `scale`, are the same but for rounding."""
    low, high = min(values), max(values)
    return high - low <= ROUNDING * max(scale, high, -low)


def t_interval(values: Sequence[float], centre: float) -> float:
    """Half-width of the 95% Student-t interval of the mean, which is `centre`, of at least two values."""
    n = len(values)
    gaps = [value - centre for value in values]
    return student_95(n - 1) * math.sqrt(math.fsum(map(mul, gaps, gaps)) / (n - 1) / n)


@cache
def student_95(degrees: int) -> float:
    """The two-sided 95% quantile of Student's t distribution with these degrees of freedom."""
    from scipy.special import stdtrit  # late: a table of single seeds does without scipy

    return float(stdtrit(degrees, 0.975))


def two_sided_p(value: float, half_width: float, degrees: int | None = None) -> float:
    """The p-value of the two-sided test that the truth is 0, given the half-width of a value's 95% interval: Student's
    t with these degrees of freedom, or normal."""
    if half_width == 0:
        return 0.0 if value else 1.0
    if degrees is None:
        return math.erfc(NORMAL_95 * abs(value) / half_width / math.sqrt(2))
    from scipy.special import stdtr  # late: see above

    return 2 * float(stdtr(degrees, -student_95(degrees) * abs(value) / half_width))


def decimals_for(values: Sequence[float], intervals: Sequence[float]) -> int:
    """Decimals for a column: two significant digits of its median interval, or, where none is known, three or four
    of its median value; whole numbers get none."""
    sizes = sorted(abs(value) for value in values if value)
    widths = sorted(width for width in intervals if width)
    if not sizes or (not widths and all(size.is_integer() for size in sizes)):
        return 0
    magnitude = _magnitude(_middle(sizes))
    decimals = (3 if magnitude >= 0 else 2) - magnitude
    if widths:
        decimals = min(decimals + 1, 1 - _magnitude(_middle(widths)))
    return max(0, min(_MOST_DECIMALS, decimals))


def two_digits(value: float, decimals: int) -> int:
    """The decimals, or as many more as the value needs to show two significant digits."""
    return max(decimals, min(_MOST_DECIMALS, 1 - _magnitude(abs(value)))) if value else decimals


def number(value: float, decimals: int) -> str:
    """`1,234.5`, `1.23M`."""
    for unit, suffix in _SUFFIXES:
        if abs(value) >= unit:
            return f"{value / unit:.3g}{suffix}"
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"  # + 0.0: no negative zero


def small_number(value: float, decimals: int) -> str:
    """Like `number`, but what the decimals would round to zero keeps a digit: `3e-08`."""
    return f"{value:.0e}" if value and round(value, decimals) == 0 else number(value, decimals)


def _middle(ordered: Sequence[float]) -> float:
    return ordered[len(ordered) // 2]


def _magnitude(value: float) -> int:
    return math.floor(math.log10(value))

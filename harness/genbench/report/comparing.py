"""Whether one model is better than another, and between which ranks each of several lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import sub
from typing import Literal

from genbench.report.layout import Better, Cell, Kind
from genbench.report.quantities import agree, mean, t_interval, two_sided_p

#: The probability, at most, that any of the ranks of a column is wrong.
ALPHA = 0.05

_OPPOSITE: dict[Kind, Kind] = {"upper_bound": "lower_bound", "lower_bound": "upper_bound"}


@dataclass(frozen=True)
class Difference:
    """One model's number less another's.

    Attributes:
        value: mean of the differences on the seeds that both have, or, unpaired, the difference of the means.
        interval: half-width of its 95% interval; None where no error is known.
        kind: of the difference; `bounds` where both are bounds of the same kind, so that it bounds nothing.
        n: the seeds over which it is paired; 0: it is unpaired.
        p: that of the two-sided test that there is no difference; None where no error is known.
    """

    value: float
    interval: float | None
    kind: Kind | Literal["bounds"]
    n: int
    p: float | None

    @property
    def distinguishable(self) -> bool:
        """Whether the interval is known and excludes 0."""
        return self.interval is not None and abs(self.value) > self.interval


def difference(one: Cell, other: Cell) -> Difference:
    """What the number in `one` is less that in `other`; both have one.

    On two or more shared seeds the differences are paired: their mean with its Student-t interval, which noise that
    the models share does not widen. Otherwise, and where the differences are all the same, as between models that no
    seed changes, the half-widths of the two cells are added in quadrature (Zou & Donner 2008), which for single
    seeds is 1.96 times the root of the summed squares of the standard errors.
    """
    assert one.value is not None
    assert other.value is not None
    kind = _kind(one, other)
    gaps = _gaps(one, other)
    if gaps and not agree(gaps, max(abs(one.value), abs(other.value))):
        value = mean(gaps)
        interval = t_interval(gaps, value)
        return Difference(value, interval, kind, len(gaps), two_sided_p(value, interval, len(gaps) - 1))
    value = one.value - other.value
    if one.interval is None or other.interval is None:
        return Difference(value, None, kind, 0, None)
    interval = math.hypot(one.interval, other.interval)
    return Difference(value, interval, kind, 0, two_sided_p(value, interval))


def _gaps(one: Cell, other: Cell) -> list[float]:
    """The differences on the seeds that both have."""
    if one.seeds == other.seeds:  # nearly always, and there may be very many
        return list(map(sub, one.numbers, other.numbers))
    known = dict(zip(other.seeds, other.numbers, strict=True))
    return [number - known[seed] for seed, number in zip(one.seeds, one.numbers, strict=True) if seed in known]


def rank_intervals(cells: Sequence[Cell], better: Better) -> list[tuple[int, int]]:
    """The lowest and the highest rank of each cell among these, 1 being the best; all of them have a number.

    From 1 + the number of cells that are proven better, to the number of cells less those that are proven worse
    (Mogstad, Romano, Shaikh & Wilhelm 2024). Proven is what Holm's procedure rejects among the one-sided hypotheses
    of all ordered pairs whose error is known, so all intervals hold at once with a probability of 95%.
    """
    sign = 1 if better == "lower" else -1
    claims: list[tuple[float, int, int]] = []
    for i, j in combinations(range(len(cells)), 2):
        found = difference(cells[i], cells[j])
        if found.p is not None:
            ahead, behind = (i, j) if sign * found.value < 0 else (j, i)
            claims.append((found.p / 2, ahead, behind))
    claims.sort()
    # the opposite claim about each pair has a p of at least 1/2: it is counted, and never proven
    hypotheses = 2 * len(claims)
    lowest, highest = [1] * len(cells), [len(cells)] * len(cells)
    for rejected, (p, ahead, behind) in enumerate(claims):
        if p > ALPHA / (hypotheses - rejected):
            break
        lowest[behind] += 1
        highest[ahead] -= 1
    return list(zip(lowest, highest, strict=True))


def _kind(one: Cell, other: Cell) -> Kind | Literal["bounds"]:
    """Less a bound is a bound from the other side; two bounds from the same side bound no difference."""
    assert one.kind is not None
    assert other.kind is not None
    if "estimate" in (one.kind, other.kind):
        return "estimate"
    if one.kind == "exact":
        return _OPPOSITE.get(other.kind, other.kind)
    return "bounds" if one.kind == other.kind else one.kind

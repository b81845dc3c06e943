"""MIG, SAP and DCI of codes whose scores follow from how they are made of the factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from genbench.metrics.dci import PARTS, dci
from genbench.metrics.gaps import Points, Score, gaps
from genbench.metrics.resampling import GROUPS
from genbench.selftest.base import Check

TRAIN, TEST = 3000, 2000
#: What forests of few trees, each grown on a tenth of the points, miss by.
FORESTS = 0.002
#: Draws of codes that say nothing.
DRAWS = 20
#: Values of an unordered factor and of two ordered ones.
COUNTS = (3, 6, 10)


def disentanglement() -> Iterator[Check]:
    """Codes that are the factors, codes that say nothing, a factor that is in two codes."""
    found = _scores(lambda factors: torch.cat([factors, torch.randn(len(factors), 4)], 1), COUNTS, [True, False, False])
    yield _within("codes = factors: MIG", 1.0, found["MIG"])
    # a threshold on a code that says nothing is right about one in three of the first factor's values
    yield _within("codes = factors: SAP", (2 / 3 + 2) / 3, found["SAP"])
    for name in ("DCI disentanglement", "DCI completeness", "DCI informativeness"):
        yield Check(f"codes = factors: {name}", 1.0, found[name].value, tolerance=FORESTS)

    draws = [_scores(lambda factors: torch.randn(len(factors), 7), COUNTS, [True, False, False]) for _ in range(DRAWS)]
    for name in ("MIG", "SAP", "DCI disentanglement", "DCI completeness"):
        yield Check.of_mean(f"random codes: {name}", 0.0, [scores[name].value for scores in draws])
    # predictions from noise are a little worse than the best guess, by less than a draw's error
    yield _within("random codes: DCI informativeness", 0.0, draws[0]["DCI informativeness"], PARTS)

    found = _scores(lambda factors: factors[:, [0, 0, 1]], (2, 2), [False, False])
    yield _within("duplicated code: MIG", 1 / 2, found["MIG"])
    yield _within("duplicated code: SAP", 1 / 2, found["SAP"])
    yield Check("duplicated code: DCI disentanglement", 1.0, found["DCI disentanglement"].value, tolerance=FORESTS)
    # trees use either code for half of what they learn
    halved = (1 - math.log(2) / math.log(3) + 1) / 2
    yield _within("duplicated code: DCI completeness", halved, found["DCI completeness"], PARTS)


def _scores(code: Callable[[Tensor], Tensor], counts: Sequence[int], categorical: Sequence[bool]) -> dict[str, Score]:
    """The five scores of the codes `(n, d)` that are made of independent uniform factors `(n, F)`."""

    def points(n: int) -> Points:
        factors = torch.stack([torch.randint(count, (n,)) for count in counts], 1)
        return Points(code(factors).double().numpy(), factors.numpy())

    train, test = points(TRAIN), points(TEST)
    mig, sap = gaps(train, test, categorical, bins=20)
    forests = dci(train, test, categorical, trees=5)
    return {
        "MIG": mig,
        "SAP": sap,
        "DCI disentanglement": forests.disentanglement,
        "DCI completeness": forests.completeness,
        "DCI informativeness": forests.informativeness,
    }


def _within(estimator: str, known: float, score: Score, parts: int = GROUPS) -> Check:
    """A score whose standard error is that of a jackknife of so many parts."""
    return Check(estimator, known, score.value, stderr=score.stderr, degrees=parts - 1)

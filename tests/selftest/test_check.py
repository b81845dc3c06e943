import math

import numpy as np
import pytest

from genbench import Check


@pytest.mark.parametrize(
    ("relation", "estimate", "verdict"),
    [
        ("equal", 1.49, "ok"),
        ("equal", 0.51, "ok"),
        ("equal", 1.51, "failed"),
        ("equal", 0.49, "failed"),
        ("at_most", 1.49, "ok"),
        ("at_most", 1.51, "failed"),
        ("at_most", -50.0, "ok"),
        ("at_least", 0.51, "ok"),
        ("at_least", 0.49, "failed"),
        ("at_least", 50.0, "ok"),
    ],
)
def test_an_estimate_passes_within_five_standard_errors_on_the_side_that_counts(relation, estimate, verdict):
    check = Check("x", 1.0, estimate, stderr=0.1, relation=relation)
    assert check.away == pytest.approx((estimate - 1) / 0.1)
    assert check.verdict == verdict


@pytest.mark.parametrize(
    ("relation", "estimate", "verdict"),
    [
        ("equal", 1.099, "ok"),
        ("equal", 0.899, "failed"),
        ("at_most", 1.101, "failed"),
        ("at_most", 0.5, "ok"),
        ("at_least", 0.899, "failed"),
    ],
)
def test_a_deterministic_estimate_passes_within_its_tolerance(relation, estimate, verdict):
    assert Check("x", 1.0, estimate, tolerance=0.1, relation=relation).verdict == verdict


@pytest.mark.parametrize("relation", ["equal", "at_most", "at_least"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_fail(bad, relation):
    for check in (
        Check("x", 0.0, bad, stderr=1.0, relation=relation),
        Check("x", bad, 0.0, tolerance=1.0, relation=relation),
        Check("x", bad, bad, tolerance=1.0, relation=relation),
    ):
        assert check.verdict == "failed"


@pytest.mark.parametrize("unit", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["stderr", "tolerance"])
def test_an_error_that_is_not_finite_fails_even_where_the_estimate_is_right(name, unit):
    assert Check("x", 1.0, 1.0, **{name: unit}).verdict == "failed"


@pytest.mark.parametrize(
    "units", [{}, {"stderr": 1.0, "tolerance": 1.0}, {"stderr": 0.0}, {"tolerance": 0.0}, {"stderr": -1.0}]
)
def test_a_check_has_one_positive_standard_error_or_tolerance(units):
    with pytest.raises(ValueError, match="mean of nothing: "):
        Check("mean of nothing", 1.0, 1.0, **units)


def test_a_mean_s_standard_error_is_that_of_its_draws():
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=50)
    check = Check.of_mean("x", 3.0, draws, relation="at_least")
    assert check.estimate == pytest.approx(draws.mean())
    assert check.stderr == pytest.approx(draws.std(ddof=1) / math.sqrt(50))
    assert (check.verdict, check.relation) == ("ok", "at_least")
    assert Check.of_mean("x", 7.0, draws).verdict == "failed"

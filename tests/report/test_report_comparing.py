from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from genbench.report.comparing import difference, rank_intervals
from genbench.report.layout import Cell
from genbench.report.quantities import two_sided_p
from genbench.report.tables import build_tables
from genbench.report.text import basis_text, difference_text


def cells(record, models, column="bits_per_dim"):
    """The judged cells of models given as `{label: [value of seed 0, …]}`."""
    runs = [record(label, {column: v}, seed=s) for label, values in models.items() for s, v in enumerate(values)]
    (table,) = build_tables(runs)
    return {row.label: row.cells[column] for row in table.rows}


def single(value: float, stderr: float | None, kind="exact") -> Cell:
    return Cell("value", value, None if stderr is None else 1.96 * stderr, kind, 1, (0,), (value,))


def test_differences_on_shared_seeds_are_paired(record):
    a, b = [2.02, 2.31, 1.88, 2.15], [2.06, 2.36, 1.90, 2.21]
    found = cells(record, {"a": a, "b": b})

    got = difference(found["b"], found["a"])
    reference = stats.ttest_rel(b, a)
    low, high = reference.confidence_interval(0.95)

    assert got.n == 4
    assert got.value == pytest.approx(np.mean(b) - np.mean(a), rel=1e-12)
    assert (got.value - got.interval, got.value + got.interval) == pytest.approx((low, high), rel=1e-9)
    assert got.p == pytest.approx(reference.pvalue, rel=1e-9)
    assert got.distinguishable


def test_pairing_sees_what_shared_noise_hides(record):
    """Seeds move both models by ±0.3; the second is worse by 0.04 on every one of them."""
    found = cells(record, {"a": [2.02, 2.31, 1.88, 2.15], "b": [2.06, 2.36, 1.90, 2.21]})

    assert abs(found["a"].value - found["b"].value) < 0.2 * found["a"].interval  # the intervals overlap nearly wholly
    assert not found["b"].close
    assert (found["a"].rank_low, found["a"].rank_high) == (1, 1)
    assert (found["b"].rank_low, found["b"].rank_high) == (2, 2)


def test_other_seeds_are_not_paired(record):
    runs = [record("a", {"fid": v}, seed=s) for s, v in ((0, 10.0), (1, 12.0), (2, 11.0))]
    runs += [record("b", {"fid": v}, seed=s) for s, v in ((2, 13.0), (3, 15.0), (4, 17.0))]
    (table,) = build_tables(runs)
    a, b = (row.cells["fid"] for row in table.rows)

    got = difference(b, a)

    assert got.n == 0
    assert got.value == pytest.approx(4.0)
    assert got.interval == pytest.approx(math.hypot(a.interval, b.interval))
    assert basis_text(got) == "unpaired"


def test_only_shared_seeds_count(record):
    runs = [record("a", {"fid": v}, seed=s) for s, v in enumerate((10.0, 20.0, 90.0))]
    runs += [record("b", {"fid": v}, seed=s) for s, v in enumerate((11.0, 22.0))]
    (table,) = build_tables(runs)
    a, b = (row.cells["fid"] for row in table.rows)

    assert (difference(b, a).value, difference(b, a).n) == (1.5, 2)
    assert basis_text(difference(b, a)) == "paired over 2 seeds"


def test_single_seeds_use_both_standard_errors():
    got = difference(single(2.0, 0.03), single(2.2, 0.04))

    assert got.interval == pytest.approx(1.96 * 0.05)
    assert got.p == pytest.approx(2 * stats.norm.sf(0.2 / 0.05), rel=1e-3)  # 1.96 is a rounded quantile
    assert got.distinguishable


@pytest.mark.parametrize(("one", "other"), [(0.01, None), (None, 0.01), (None, None)])
def test_without_an_error_nothing_is_distinguishable(one, other):
    got = difference(single(2.0, one), single(9.0, other))

    assert (got.value, got.interval, got.p, got.distinguishable) == (-7.0, None, None, False)
    assert basis_text(got) == "no error known"


def test_seeds_that_change_nothing_prove_nothing(record, number):
    """Two closed-form fits, the same on every seed: what is known of their difference is the error over test data."""
    runs = [record("pca", [number("bits_per_dim", 2.00, stderr=0.03)], seed=s) for s in range(3)]
    runs += [record("mean", [number("bits_per_dim", 2.05, stderr=0.04)], seed=s) for s in range(3)]
    (table,) = build_tables(runs)
    mean, pca = (row.cells["bits_per_dim"] for row in table.rows)

    got = difference(mean, pca)

    assert pca.interval == pytest.approx(0.0588, rel=1e-3)
    assert (got.n, got.distinguishable) == (0, False)
    assert got.interval == pytest.approx(1.96 * 0.05, rel=1e-3)


@pytest.mark.parametrize(
    ("one", "other", "kind", "text"),
    [
        ("exact", "exact", "exact", "+1.00"),
        ("upper_bound", "exact", "upper_bound", "≤+1.00"),
        ("exact", "upper_bound", "lower_bound", "≥+1.00"),
        ("upper_bound", "lower_bound", "upper_bound", "≤+1.00"),
        ("lower_bound", "upper_bound", "lower_bound", "≥+1.00"),
        ("upper_bound", "upper_bound", "bounds", "≶+1.00"),
        ("lower_bound", "lower_bound", "bounds", "≶+1.00"),
        ("estimate", "upper_bound", "estimate", "~+1.00"),
    ],
)
def test_what_a_difference_bounds(one, other, kind, text):
    got = difference(single(3.0, 0.1, one), single(2.0, 0.1, other))

    assert got.kind == kind
    assert difference_text(got) == f"{text} ±0.28"


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (0.0743, 0.001, "+0.0743 ±0.0028"),
        (-0.01, 0.1, "-0.01 ±0.28†"),
        (0.0, 0.1, "+0.00 ±0.28†"),
        (123.0, None, "+123†"),
        (0.267, 1e-7, "+0.2670 ±3e-07"),
    ],
)
def test_a_difference_has_the_decimals_of_its_interval(value, stderr, text):
    assert difference_text(difference(single(value, stderr), single(0.0, stderr))) == text


@pytest.mark.parametrize(("half", "degrees"), [(0.5, 2), (0.5, 7), (0.5, None), (3.0, 3)])
def test_p_is_5_percent_where_the_interval_ends_at_0(half, degrees):
    assert two_sided_p(half, half, degrees) == pytest.approx(0.05, rel=1e-9)
    assert two_sided_p(-1.01 * half, half, degrees) < 0.05 < two_sided_p(0.99 * half, half, degrees)


def test_p_without_an_interval_of_any_width():
    assert (two_sided_p(0.1, 0.0), two_sided_p(0.0, 0.0)) == (0.0, 1.0)


def test_rank_intervals_worked_by_hand():
    """Four models with standard errors that make every pair's 0.1 (0.0707 each).

    z and one-sided p of the six pairs, smallest p first, against 0.05/12, 0.05/11, …:
    A–D 4.0, 3.2e-5 < 0.00417: proven. B–D 3.0, 0.00135 < 0.00455: proven. A–C 2.8, 0.00256 < 0.0050: proven.
    B–C 1.8, 0.0359 > 0.0056: stop (C–D 1.2 and A–B 1.0 are larger still).
    So A beats C and D, B beats D, and nothing else is known.
    """
    models = [single(value, 0.1 / math.sqrt(2)) for value in (1.0, 1.1, 1.28, 1.4)]

    assert rank_intervals(models, "lower") == [(1, 2), (1, 3), (2, 4), (3, 4)]
    assert rank_intervals(models, "higher") == [(3, 4), (2, 4), (1, 3), (1, 2)]


def test_holm_steps_down():
    """One-sided p of the three pairs: z = 5, 3 and 2.3, so 2.9e-7, 0.00135 and 0.0107 against 0.05/6, 0.05/5 and
    0.05/4. Bonferroni's 0.05/6 = 0.0083 would not prove the last."""
    models = [single(value, 0.1 / math.sqrt(2)) for value in (1.0, 1.23, 1.53)]

    assert rank_intervals(models, "lower") == [(1, 1), (2, 2), (3, 3)]


def test_models_whose_error_is_unknown_may_have_any_rank():
    models = [single(1.0, 0.01), single(2.0, 0.01), single(3.0, None)]

    assert rank_intervals(models, "lower") == [(1, 2), (2, 3), (1, 3)]


def test_equal_models_are_never_told_apart():
    assert rank_intervals([single(1.0, 0.0)] * 3, "lower") == [(1, 3)] * 3


@pytest.mark.parametrize("truth", [(2.0,) * 5, (2.0, 2.0, 2.1, 2.1, 2.6)])
def test_rank_intervals_cover_at_once_and_single_pairs_would_not(truth):
    """Simulated comparisons of five models on four seeds that share their noise. The chance that all five intervals
    hold is to be at least 95%: the share of 300 draws may fall below it by 3 standard errors of 0.0126."""
    rng = np.random.default_rng(0)
    draws, covered, uncorrected = 300, 0, 0
    best = [1 + sum(other < mine for other in truth) for mine in truth]
    worst = [len(truth) - sum(other > mine for other in truth) for mine in truth]
    for _ in range(draws):
        noise = rng.normal(0, 0.5, 4)
        values = [mine + noise + rng.normal(0, 0.05, 4) for mine in truth]
        models = [Cell("value", float(v.mean()), 0.1, "exact", 4, (0, 1, 2, 3), v.tolist()) for v in values]
        found = rank_intervals(models, "lower")
        covered += all(
            low <= first and last <= high for (low, high), first, last in zip(found, best, worst, strict=True)
        )
        ties = [(i, j) for i in range(5) for j in range(i) if truth[i] == truth[j]]
        uncorrected += not any(difference(models[i], models[j]).distinguishable for i, j in ties)

    assert covered / draws >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / draws)
    if len(set(truth)) == 1:
        assert uncorrected / draws < 0.85  # ten tests of 5% each: the correction is needed


def test_ranks_tell_apart_what_is_far_apart(record):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.5, 5)
    found = cells(record, {f"m{i}": (2 + i + noise + rng.normal(0, 0.01, 5)).tolist() for i in range(6)})

    assert [(cell.rank_low, cell.rank_high) for cell in found.values()] == [(i, i) for i in range(1, 7)]


def test_what_is_not_ranked_has_no_rank(record, number):
    (table,) = build_tables(
        [
            record("a", [number("log_likelihood", -90.0, stderr=0.1), number("parameters", 3.0)]),
            record("b", [number("log_likelihood", -99.0, stderr=0.1), number("parameters", 4.0)]),
            record("flattered", [number("log_likelihood", -1.0, stderr=0.1, kind="upper_bound")]),
            record("noise", [number("log_likelihood", -200.0, stderr=0.1)], family="reference"),
        ]
    )

    ranks = {
        row.label: (row.cells["log_likelihood"].rank_low, row.cells["log_likelihood"].rank_high) for row in table.rows
    }
    assert ranks == {"a": (1, 1), "b": (2, 2), "flattered": (None, None), "noise": (None, None)}
    assert {row.cells["parameters"].rank_low for row in table.rows} == {None}


def test_seeds_that_differ_by_rounding_agree(record):
    """A closed-form fit gives every seed the same number: neither its interval nor a difference is proven by that."""
    found = cells(record, {"a": [0.3, 0.1 + 0.2, 0.3], "b": [0.4, 0.4, 0.4]})
    assert found["a"].interval is None or found["a"].interval > 1e-6
    assert difference(found["b"], found["a"]).n == 0

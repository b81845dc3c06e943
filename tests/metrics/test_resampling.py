import math

import numpy as np
import pytest

from genbench.metrics.resampling import bootstrap, group_of, jackknife, wilson


def test_groups_are_equal_in_size_and_cover_every_point():
    sizes = np.bincount(group_of(103, 20))
    assert len(sizes) == 20
    assert sizes.sum() == 103
    assert set(sizes) == {5, 6}


def test_the_jackknife_of_a_mean_is_its_textbook_standard_error():
    x = np.random.default_rng(0).normal(size=50)
    found = jackknife(x.mean(), [np.delete(x, i).mean() for i in range(50)])
    assert found.debiased == pytest.approx(x.mean())
    assert found.stderr == pytest.approx(x.std(ddof=1) / math.sqrt(50))
    assert found.margin == pytest.approx(2.0096 * found.stderr, rel=1e-4)  # Student's t, 49 degrees of freedom


def test_the_jackknife_removes_the_bias_of_the_plug_in_variance():
    """The variance that divides by n is (n-1)/n of the unbiased one; the jackknife gives the latter exactly."""
    x = np.random.default_rng(1).normal(size=40)
    found = jackknife(x.var(), [np.delete(x, i).var() for i in range(40)])
    assert found.debiased == pytest.approx(x.var(ddof=1))


def test_the_bootstrap_of_a_mean_covers():
    """200 samples of 80 coin throws: a 95% interval misses 10 on average, with a standard deviation of 3.1."""
    rng = np.random.default_rng(2)
    found = [bootstrap(rng.random(80) < 0.3) for _ in range(200)]
    hits = sum(result.interval[0] <= 0.3 <= result.interval[1] for result in found)
    assert hits >= 190 - 5 * 3.1
    assert np.mean([result.stderr for result in found]) == pytest.approx(math.sqrt(0.3 * 0.7 / 80), rel=0.05)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_a_proportion_s_interval_is_where_its_truth_is_not_rejected(share):
    """Both ends p solve |share - p| = 1.96 sqrt(p (1 - p) / n), the definition of the interval."""
    for end in wilson(share, 60):
        assert abs(share - end) == pytest.approx(1.959964 * math.sqrt(max(0.0, end * (1 - end)) / 60), abs=1e-7)
    assert wilson(share, 60)[0] - 1e-12 <= share <= wilson(share, 60)[1] + 1e-12

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

from genbench.metrics.pairs import Ranks, Replicated, preservation, silhouette
from genbench.metrics.resampling import group_of
from genbench.selftest.base import standard_errors

GROUPS = 20
DRAWS = 600


def mixture(rng, n, dimensions=2):
    """Points of three overlapping Gaussians in a row, and which of them each is from."""
    y = rng.integers(3, size=n)
    x = rng.normal(size=(n, dimensions))
    x[:, 0] += y
    return x, y


#: The standard error of a coverage of 95% over `DRAWS` draws.
STDERR = np.sqrt(0.95 * 0.05 / DRAWS)


def covered(scores, truth):
    return np.mean([abs(score.whole - truth) <= score.jackknifed.margin for score in scores])


@pytest.mark.parametrize("n", [20, 67, 200])
def test_silhouettes_are_scikit_learns_with_and_without_every_group(n):
    x, y = mixture(np.random.default_rng(0), n)
    group = group_of(n, GROUPS)
    found = silhouette(x, y, group)
    assert found.whole == pytest.approx(silhouette_score(x, y), abs=1e-12)
    without = [silhouette_score(x[group != g], y[group != g]) for g in range(GROUPS)]
    np.testing.assert_allclose(found.without, without, atol=1e-12)


def test_a_class_of_one_point_and_coinciding_points_count_as_in_scikit_learn():
    x = np.array([[0.0], [0.0], [0.0], [0.0], [3.0], [5.0]])
    y = np.array([0, 0, 1, 1, 1, 7])
    assert silhouette(x, y, np.arange(6)).whole == pytest.approx(silhouette_score(x, y), abs=1e-12)


@pytest.mark.parametrize("n", [30, 67, 200])
@pytest.mark.parametrize("k", [1, 5, 12])
def test_trustworthiness_and_continuity_are_scikit_learns_with_and_without_every_group(n, k):
    x, _ = mixture(np.random.default_rng(1), n, dimensions=5)
    z = x[:, :2] ** 3
    group = group_of(n, GROUPS)
    for near, far in ((z, x), (x, z)):
        found = preservation(Ranks(near), Ranks(far), k, group)
        assert found.whole == pytest.approx(trustworthiness(far, near, n_neighbors=k), abs=1e-12)
        without = [trustworthiness(far[group != g], near[group != g], n_neighbors=k) for g in range(GROUPS)]
        np.testing.assert_allclose(found.without, without, atol=1e-12)


def test_neighbourhoods_that_are_kept_score_1_and_random_ones_a_half():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 5))
    group = group_of(400, GROUPS)
    kept = preservation(Ranks(3 * x + 1), Ranks(x), 5, group)
    assert (kept.whole, kept.jackknifed.stderr) == (1.0, 0.0)
    lost = preservation(Ranks(rng.normal(size=(400, 2))), Ranks(x), 5, group)
    assert abs(lost.whole - 0.5) < standard_errors(GROUPS - 1) * lost.jackknifed.stderr


def test_equally_near_points_are_ranked_in_their_order():
    ranks = Ranks(np.zeros((4, 2)))
    assert ranks.order[2].tolist() == [2, 0, 1, 3]
    assert ranks.rank[2].tolist() == [1, 2, 0, 3]


def test_silhouettes_jackknife_interval_covers():
    """Against the value of a far larger draw."""
    rng = np.random.default_rng(3)
    truth = silhouette(*mixture(rng, 8000), group_of(8000, GROUPS)).whole
    found = [silhouette(*mixture(rng, 120), group_of(120, GROUPS)) for _ in range(DRAWS)]
    assert covered(found, truth) == pytest.approx(0.95, abs=5 * STDERR)


def test_the_paired_difference_of_silhouettes_covers_and_is_the_tighter_one():
    """The second kind of codes is the first with some noise, so that both err alike."""
    rng = np.random.default_rng(4)

    def pair(n):
        x, y = mixture(rng, n)
        noisy = x + 0.5 * rng.normal(size=x.shape)
        return tuple(silhouette(codes, y, group_of(n, GROUPS)) for codes in (x, noisy))

    one, other = pair(8000)
    pairs = [pair(120) for _ in range(DRAWS)]
    assert covered([a - b for a, b in pairs], (one - other).whole) == pytest.approx(0.95, abs=5 * STDERR)
    unpaired = np.mean([np.hypot(a.jackknifed.stderr, b.jackknifed.stderr) for a, b in pairs])
    assert np.mean([(a - b).jackknifed.stderr for a, b in pairs]) < 0.8 * unpaired


def test_trustworthinesss_jackknife_interval_covers():
    """Against the mean over the draws: what it measures depends on the number of points. It is rather too wide."""
    rng = np.random.default_rng(5)

    def draw():
        x, _ = mixture(rng, 100, dimensions=5)
        return preservation(Ranks(x[:, :3]), Ranks(x), 5, group_of(100, GROUPS))

    found = [draw() for _ in range(DRAWS)]
    values = [score.whole for score in found]
    assert covered(found, np.mean(values)) >= 0.95 - 5 * STDERR
    assert np.mean([score.jackknifed.stderr for score in found]) < 1.5 * np.std(values)


def test_a_difference_to_itself_is_exactly_nothing():
    score = Replicated(0.3, np.array([0.1, 0.2, 0.4]))
    assert ((score - score).whole, (score - score).jackknifed.stderr) == (0.0, 0.0)

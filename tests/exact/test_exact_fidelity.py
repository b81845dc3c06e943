"""Distances between sets of features against closed forms, plain loops and torch-fidelity, and whether errors cover."""

import math

import numpy as np
import pytest
import torch
from torch_fidelity import metric_fid, metric_kid

from genbench.metrics import frechet as module
from genbench.metrics.frechet import frechet, plug_in
from genbench.metrics.kernel import kernel_distance
from genbench.metrics.neighbours import density_coverage, nearest

DRAWS = 200


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def pair(n, m, d):
    """Two sets whose distributions differ in mean, correlations and shape."""
    mix = torch.eye(d, dtype=torch.float64) + 0.5 * normal(d, d) / d**0.5
    return normal(n, d) @ mix + 0.3, normal(m, d).exp()


def theirs(x, y):
    """torch-fidelity's own FID of features."""
    statistics = [metric_fid.fid_features_to_statistics(features) for features in (x, y)]
    return metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


@pytest.mark.parametrize(
    ("n", "m", "d"),
    [
        (300, 300, 16),
        (200, 500, 64),
        (65, 65, 64),
        (40, 40, 64),
        (64, 30, 64),
        (40, 300, 64),
        (300, 40, 64),
        (700, 700, 300),
    ],
    ids=lambda value: str(value),
)
def test_fid_is_torch_fidelity_s(n, m, d):
    x, y = pair(n, m, d)
    assert plug_in(x, y) == pytest.approx(theirs(x, y), rel=1e-6)


def test_fid_far_from_the_origin_is_what_it_is_near_it():
    x, y = pair(300, 200, 16)
    assert plug_in(x + 1e4, y + 1e4) == pytest.approx(plug_in(x, y), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(200, 150), (200, 30), (30, 30)])
def test_groups_left_out_are_as_if_they_had_never_been(n, m):
    x, y = pair(n, m, 32)
    groups = [module.group_of(len(features)) for features in (x, y)]
    without = [plug_in(x[groups[0] != g], y[groups[1] != g]) for g in range(20)]
    want = module.jackknife(plug_in(x, y), without)
    found = frechet(x, y)
    assert found.plug_in == pytest.approx(plug_in(x, y), rel=1e-9)
    assert found.debiased == pytest.approx(want.debiased, rel=1e-8)
    assert found.stderr == pytest.approx(want.stderr, rel=1e-6)


def test_both_formulas_agree_where_one_takes_over_from_the_other():
    d = 24
    x, y = pair(d + 1, d + 1, d)
    moments, rows = (
        module._distance(*(module._summary(features, y.mean(0), fewest) for features in (x, y)))
        for fewest in (d + 1, d)
    )
    assert moments == pytest.approx(rows, rel=1e-6)
    mixed = module._distance(module._summary(x, y.mean(0), d), module._summary(y, y.mean(0), d + 1))
    assert mixed == pytest.approx(rows, rel=1e-6)


def test_constant_features_add_the_distance_of_the_constants():
    x, y = pair(100, 90, 8)

    def padded(features, constant):
        return torch.cat([features, torch.full((len(features), 2), constant, dtype=torch.float64)], 1)

    found = frechet(padded(x, 1.0), padded(y, 3.0))
    bare = frechet(x, y)
    assert found.plug_in == pytest.approx(bare.plug_in + 8, rel=1e-6)
    assert found.stderr == pytest.approx(bare.stderr, rel=1e-4)


@pytest.mark.parametrize("n", [100, 12])
def test_one_point_many_times_against_data(n):
    """A collapsed set's covariance is zero: what is left is the means' distance and the data's spread."""
    y = pair(100, 100, 16)[1]
    x = y[:1].expand(n, -1)
    want = (y.mean(0) - y[0]).square().sum() + torch.cov(y.T).trace()
    assert plug_in(x, y) == pytest.approx(want.item(), rel=1e-6)


@pytest.mark.parametrize("n", [100, 12])
def test_identical_sets_have_no_distance_and_no_error(n):
    x = pair(n, n, 16)[0]
    found = frechet(x, x)
    assert found.plug_in == pytest.approx(0, abs=1e-6)
    assert found.debiased == pytest.approx(0, abs=1e-5)
    assert found.stderr == pytest.approx(0, abs=1e-5)


def coverage(intervals, truth):
    return np.mean([low <= truth <= high for low, high in intervals])


#: The share of `DRAWS` intervals of 95% that hold the truth, less five of its standard errors.
COVERED = 0.95 - 5 * math.sqrt(0.95 * 0.05 / DRAWS)


@pytest.mark.parametrize(
    ("n", "m", "d", "shift", "scale"), [(500, 500, 16, 0.05, 1.03), (500, 2000, 16, 0.1, 1.1), (96, 96, 32, 0, 1)]
)
def test_the_interval_of_fid_covers_the_distance_of_known_normals(n, m, d, shift, scale):
    """N(0, I) against N(shift, scale² I): d (shift² + (scale - 1)²). As many of 200 intervals hold it as should;
    hardly any does that is as wide and lies around what other tools report."""
    truth = d * (shift**2 + (scale - 1) ** 2)
    found = [frechet(normal(n, d), normal(m, d) * scale + shift) for _ in range(DRAWS)]
    assert coverage([each.interval for each in found], truth) >= COVERED
    widths = [each.interval[1] - each.debiased for each in found]
    plain = [(each.plug_in - width, each.plug_in + width) for each, width in zip(found, widths, strict=True)]
    assert coverage(plain, truth) < 0.05
    values = np.array([each.debiased for each in found])
    # of the bias, 95% is gone, up to the error of the mean of 200
    bias = np.mean([each.plug_in for each in found]) - truth
    assert abs(values.mean() - truth) < 0.05 * bias + 5 * values.std(ddof=1) / math.sqrt(DRAWS)


def test_the_interval_of_fid_covers_the_distance_of_known_populations_that_are_not_normal():
    """Skewed features in ten clusters, as classes make them, in two finite populations with different classes rare."""
    centres = 2 * normal(10, 8)
    rare = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    populations = [
        centres[torch.multinomial(weights, 3000, replacement=True)] + normal(3000, 8).abs().log()
        for weights in (rare, rare.flip(0) + 5)
    ]
    truth = plug_in(*populations)

    def draw(population, n):
        return population[torch.randint(len(population), (n,))]

    found = [frechet(draw(populations[0], 600), draw(populations[1], 900)) for _ in range(DRAWS)]
    assert coverage([each.interval for each in found], truth) >= COVERED


def test_kid_of_all_points_is_torch_fidelity_s_of_one_subset():
    x, y = pair(120, 120, 16)
    want = metric_kid.kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=120, rng_seed=0, verbose=False)
    assert kernel_distance(x, y).distance == pytest.approx(want["kernel_inception_distance_mean"], rel=1e-6)


@pytest.mark.parametrize("values", [10_000_000, 700])
def test_kid_is_the_formula_and_its_error_the_jackknife_of_it(values, monkeypatch):
    monkeypatch.setattr("genbench.metrics.kernel.VALUES", values)
    x, y = pair(90, 50, 6)

    def formula(x, y):
        def kernel(a, b):
            return (a @ b.T / 6 + 1) ** 3

        within = [
            (kernel(a, a).sum() - kernel(a, a).trace()) / (len(a) * (len(a) - 1)) for a in (x, y)
        ]  # no point with itself
        return float(sum(within) - 2 * kernel(x, y).mean())

    groups = [module.group_of(len(features)) for features in (x, y)]
    without = [formula(x[groups[0] != g], y[groups[1] != g]) for g in range(20)]
    found = kernel_distance(x, y)
    assert found.distance == pytest.approx(formula(x, y), rel=1e-9)
    assert found.stderr == pytest.approx(module.jackknife(formula(x, y), without).stderr, rel=1e-6)


def kernel_truth(mean):
    """MMD² of N(0, I) and N(mean, I) in d dimensions with the kernel (x·y/d + 1)³: E over the polynomial's terms.

    For independent a ~ N(p, I), b ~ N(q, I): E (a·b)^j from the cumulants of a·b given a, which is normal with mean a·q
    and variance |a|²; only terms with p·q, |p|², |q|² are left.
    """
    d, s = len(mean), float(mean @ mean)

    def expectation(pq, pp, qq):
        second = pq**2 + pp + qq + d
        # E t^3 for t|a ~ N(a·q, |a|²): E[(a·q)³] + 3 E[(a·q)|a|²]
        third = pq**3 + 3 * pq * qq + 3 * (pq * (pp + d) + 2 * pq)
        return 1 + 3 * pq / d + 3 * second / d**2 + third / d**3

    return expectation(0, 0, 0) + expectation(s, s, s) - 2 * expectation(0, 0, s)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_kid_is_unbiased_and_its_interval_covers(shift):
    """Its mean over 200 draws is MMD² within five standard errors; a degenerate case at 0, where it is also negative,
    and an ordinary one."""
    d = 4
    truth = kernel_truth(torch.full((d,), shift, dtype=torch.float64))
    found = [kernel_distance(normal(200, d), normal(300, d) + shift) for _ in range(DRAWS)]
    values = np.array([each.distance for each in found])
    assert abs(values.mean() - truth) < 5 * values.std(ddof=1) / math.sqrt(DRAWS)
    assert coverage([each.interval for each in found], truth) >= COVERED
    assert values.min() < truth < values.max()
    assert truth == 0 if shift == 0 else truth > 0.1


def test_density_and_coverage_are_the_counts_of_a_plain_loop():
    x, y = pair(60, 70, 3)
    k = 4
    radius = [sorted(torch.dist(a, b).item() for b in y)[k] for a in y]
    inside = np.array([[torch.dist(a, b).item() <= r for b in x] for a, r in zip(y, radius, strict=True)])
    density, covered = density_coverage(x, y, k)
    assert density.tolist() == pytest.approx(inside.sum(0) / k)
    assert covered.tolist() == inside.any(1).tolist()
    assert 0 < covered.mean() < 1


def test_density_and_coverage_do_not_depend_on_the_chunks(monkeypatch):
    x, y = pair(60, 70, 3)
    whole = density_coverage(x, y, 5), nearest(x, y)
    monkeypatch.setattr("genbench.metrics.neighbours.VALUES", 200)
    parts = density_coverage(x, y, 5), nearest(x, y)
    torch.testing.assert_close(whole, parts)


def test_density_and_coverage_of_identical_sets():
    """Every ball holds its own centre and the k neighbours whose last one is on its surface, wherever the origin is."""
    x = pair(80, 80, 16)[1]
    for features in (x, x + 1e3):
        density, covered = density_coverage(features, features, 5)
        assert density.mean() == pytest.approx(6 / 5)
        assert covered.mean() == 1


def test_density_and_coverage_of_equal_distributions():
    """1 and 1 - 2^-k or so: a ball's k points among the data are as many samples on average, none with chance 2^-k."""
    density, covered = density_coverage(normal(2000, 2), normal(2000, 2), 5)
    assert density.mean() == pytest.approx(1, abs=5 * density.std().item() / math.sqrt(2000) + 0.02)
    assert covered.mean() == pytest.approx(1 - 2**-5, abs=5 * math.sqrt(2**-5 / 2000) + 0.005)


def test_samples_collapsed_to_a_data_point_are_dense_and_cover_little():
    data = normal(200, 4)
    density, covered = density_coverage(data[:1].expand(200, -1), data, 5)
    around = sum(torch.dist(a, data[0]) <= torch.cdist(a[None], data).kthvalue(6).values[0] + 1e-9 for a in data).item()
    assert density.unique().tolist() == [around / 5]
    assert covered.sum() == around
    assert around < 20

import math

import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Split, ViewOptions, apply_view
from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.imputation import Imputation
from genbench.model import Reconstructor

DIMS, LATENT, NOISE = 10, 2, 0.3


class Function(Reconstructor):
    """Reconstructs by a function, and remembers what it was given."""

    def __init__(self, function):
        self.function = function
        self.seen = []

    def reconstruct(self, x):
        self.seen.append(x)
        return self.function(x)


def measure(subject, **config):
    (measurement,) = Imputation(Imputation.Config(**config)).measure(subject)
    return measurement


@pytest.fixture
def gaussian():
    """Data from x = mean + W z + noise, with W `(10, 2)`."""
    rng = np.random.default_rng(0)
    weights, mean = rng.normal(size=(DIMS, LATENT)), rng.normal(size=DIMS)

    def split(n):
        x = mean + rng.normal(size=(n, LATENT)) @ weights.T + NOISE * rng.normal(size=(n, DIMS))
        return Split(x.astype(np.float32))

    dataset = Dataset("gaussian", DataSpec((DIMS,), "continuous"), split(50), split(5), split(300), family="gaussian")
    return dataset, weights, mean


def run(make_subject, dataset, function, **config):
    """The measurement with the points that were asked for and their masks: a first run with a reconstruction that
    changes nothing finds the points and what is missing of them."""
    probe = Function(lambda x: x)
    model = Function(function)
    got = measure(make_subject(model, dataset), **config)
    measure(make_subject(probe, dataset), iterations=1)
    given = torch.cat(probe.seen)
    test = torch.from_numpy(dataset.test.x)
    # given values tell which point it was
    same = (given[:, None] == test[None]).flatten(2).sum(2)
    x = test[same.argmax(1)]
    return got, x.double().numpy(), (given != x).numpy()


def test_exactly_half_is_missing_and_the_halves_differ(make_subject, gaussian):
    got, x, missing = run(make_subject, gaussian[0], lambda x: x, iterations=1)
    assert got.settings["missing"] == DIMS // 2
    assert (missing.sum(1) == DIMS // 2).all()
    share = missing.mean(0)
    assert np.abs(share - 0.5).max() < 5 * math.sqrt(0.25 / len(x))
    assert len(np.unique(missing, axis=0)) > 100


def test_what_changes_nothing_leaves_the_training_mean(make_subject, gaussian):
    dataset = gaussian[0]
    got, x, missing = run(make_subject, dataset, lambda x: x)
    errors = np.where(missing, x - dataset.train.x.mean(0), 0) ** 2
    expected = errors.sum(1) / (DIMS // 2)
    assert (got.name, got.kind, got.better) == ("imputation_mse", "estimate", "lower")
    assert got.value == pytest.approx(expected.mean(), rel=1e-5)
    assert got.value == pytest.approx(got.settings["mean_mse"])
    assert got.settings["last_change"] == 0
    assert got.stderr == pytest.approx(expected.std(ddof=1) / math.sqrt(len(x)), rel=5 / math.sqrt(2000))
    low, high = got.interval
    assert low < got.value < high


def test_the_fixed_point_of_a_projection_is_the_least_squares_solution(make_subject, gaussian):
    dataset, weights, mean = gaussian
    axes = np.linalg.qr(weights)[0]
    projection, centre = torch.from_numpy(axes @ axes.T), torch.from_numpy(mean)
    got, x, missing = run(
        make_subject, dataset, lambda x: (centre + (x.double() - centre) @ projection).float(), iterations=500
    )
    errors = []
    for point, gone in zip(x, missing, strict=True):
        z = np.linalg.lstsq(axes[~gone], (point - mean)[~gone])[0]
        errors.append(np.mean((point - mean - axes @ z)[gone] ** 2))
    assert got.settings["last_change"] < 1e-4
    assert got.value == pytest.approx(np.mean(errors), rel=1e-3)


def test_the_fixed_point_of_a_linear_gaussian_model_is_the_conditional_mean(make_subject, gaussian):
    dataset, weights, mean = gaussian
    # x' = mean + W E[z|x]
    gain = weights @ np.linalg.solve(weights.T @ weights + NOISE**2 * np.eye(LATENT), weights.T)
    transposed, centre = torch.from_numpy(gain.T), torch.from_numpy(mean)
    got, x, missing = run(
        make_subject, dataset, lambda x: (centre + (x.double() - centre) @ transposed).float(), iterations=500
    )
    covariance = weights @ weights.T + NOISE**2 * np.eye(DIMS)
    errors = []
    for point, gone in zip(x, missing, strict=True):
        regression = np.linalg.solve(covariance[np.ix_(~gone, ~gone)], covariance[np.ix_(~gone, gone)])
        conditional = mean[gone] + (point - mean)[~gone] @ regression
        errors.append(np.mean((point[gone] - conditional) ** 2))
    assert got.value == pytest.approx(np.mean(errors), rel=1e-3)
    assert got.value < 0.5 * got.settings["mean_mse"]


def test_what_is_given_stays_as_it_is_and_the_iterations_are_counted(make_subject):
    model = Function(lambda x: 1 - x)
    subject = make_subject(model)
    got = measure(subject, iterations=3)
    assert got.settings["iterations"] == len(model.seen) == 3
    first, second, third = model.seen
    missing = first != second
    assert missing.flatten(1).sum(1).max() <= 9 // 2
    assert torch.equal(first[~missing], third[~missing])
    torch.testing.assert_close(second[missing], 1 - first[missing])


def test_values_on_the_way_are_cut_to_the_datas_range_but_not_snapped(make_subject, make_dataset):
    model = Function(lambda x: x + 0.03)
    measure(make_subject(model), iterations=40)
    last = model.seen[-1]
    assert last.min() >= 0
    assert last.max() <= 1
    # steps below half a level add up: what is missing has reached the top
    assert (model.seen[-1] == 1).sum() > (model.seen[0] == 1).sum() + 60 * 3
    binary = apply_view(make_dataset(), ViewOptions(binarize="threshold"))
    model = Function(lambda x: torch.full_like(x, 0.3))
    measure(make_subject(model, binary))
    assert torch.isin(model.seen[-1], torch.tensor([0.0, 0.3, 1.0])).all()


def test_a_perfect_reconstruction_has_no_error(make_subject):
    image = np.random.default_rng(0).integers(0, 5, (1, 3, 3)).astype(np.uint8)
    splits = [Split(np.tile(image, (5, 1, 1, 1))) for _ in range(3)]
    dataset = Dataset("one", DataSpec((1, 3, 3), "discrete", 5), *splits, family="one")
    got = measure(make_subject(Function(lambda x: torch.from_numpy(image).float().div(4).expand_as(x)), dataset))
    assert (got.value, got.stderr, got.interval) == (0.0, 0.0, (0.0, 0.0))


@pytest.mark.parametrize("method", [None, "dynamic"])
def test_every_model_starts_alike(make_subject, make_dataset, method):
    seen = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = Function(lambda x: x)
        measure(make_subject(model, apply_view(make_dataset(), ViewOptions(binarize=method))), iterations=1)
        seen.append(torch.cat(model.seen))
    assert torch.equal(*seen)


def test_one_dimension_has_no_half(make_subject):
    split = Split(np.arange(4, dtype=np.float32)[:, None])
    dataset = Dataset("line", DataSpec((1,), "continuous"), split, split, split, family="line")
    with pytest.raises(NotApplicable, match="one dimension"):
        measure(make_subject(Function(lambda x: x), dataset))


def test_an_iteration_that_blows_up_is_named(make_subject, gaussian):
    with pytest.raises(MetricError, match=r"Function\.reconstruct returned .* inf"):
        measure(make_subject(Function(lambda x: x * 1e10), gaussian[0]))

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from genbench.data import Dataset, DataSpec, Split
from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.codebook import Codebook
from genbench.model import Quantized
from genbench.runner.measure import ask
from genbench.selftest.base import standard_errors


class Quantizer(Quantized):
    """Pixels are their own codes; p(x|code) gives each of them the probability `certainty`."""

    def __init__(self, size, certainty=0.5):
        self.codebook_size, self.certainty = size, certainty

    def codes(self, x):
        return (x.flatten(1) * 4).long()

    def log_likelihood(self, x, codes):
        assert torch.equal(codes, self.codes(x))
        return torch.full((len(x),), codes.shape[1] * math.log(self.certainty))


def returning(**methods):
    """A model of which some methods return something else."""
    model = Quantizer(5)
    for name, value in methods.items():
        setattr(model, name, lambda *_, value=value: value)
    return model


def pixels(draw, sizes=(5, 5, 300)):
    """Data of 4 dimensions whose levels, of 5, `draw` draws."""
    rng = np.random.default_rng(0)
    splits = [Split(draw(rng, (n, 4)).astype(np.uint8)) for n in sizes]
    return Dataset("pixels", DataSpec((4,), "discrete", 5), *splits, family="pixels")


def measure(subject, **config):
    return Codebook(Codebook.Config(**config)).measure(subject)


def test_codes_that_are_equally_frequent_are_all_in_use(make_subject, by_name):
    dataset = pixels(lambda rng, shape: rng.integers(5, size=shape))
    got = by_name(measure(make_subject(Quantizer(5), dataset)))
    assert (got.codebook_usage.value, got.codebook_usage.stderr) == (1, 0)
    assert (got.codebook_usage.kind, got.codebook_usage.better) == ("lower_bound", "higher")
    # the plug-in entropy of N draws is short of ln K by (K - 1)/2N, which the jackknife gives back: by chi-squared/2N,
    # which is above 40 with four degrees of freedom 4 times in 100 million
    assert got.codebook_perplexity.value == pytest.approx(5, abs=5 * (40 - 4) / (2 * 1200))
    assert (got.codebook_perplexity.kind, got.codebook_perplexity.better) == ("estimate", "neither")
    assert got.codebook_perplexity.settings["plugin"] < got.codebook_perplexity.value <= 5
    low, high = got.codebook_perplexity.interval
    assert 1 <= low <= got.codebook_perplexity.value <= high <= 5
    assert got.codebook_usage.settings == {"n": 300, "codebook_size": 5, "positions": 4}
    assert got.codebook_usage.flags == ()


def test_a_single_code_has_perplexity_one(make_subject, by_name):
    dataset = pixels(lambda rng, shape: np.full(shape, 3))
    got = by_name(measure(make_subject(Quantizer(8), dataset)))
    assert got.codebook_usage.value == 1 / 8
    assert got.codebook_perplexity.value == pytest.approx(1)
    assert got.codebook_perplexity.stderr == pytest.approx(0)
    assert got.codebook_perplexity.interval == pytest.approx((1, 1))


def test_perplexity_is_that_of_the_frequencies(make_subject, by_name):
    dataset = pixels(lambda rng, shape: rng.choice(5, size=shape, p=[0.5, 0.25, 0.25, 0, 0]))
    got = by_name(measure(make_subject(Quantizer(5), dataset)))
    assert got.codebook_usage.value == pytest.approx(3 / 5)
    found = got.codebook_perplexity
    assert found.settings["plugin"] == pytest.approx(math.exp(entropy(np.bincount(dataset.test.x.ravel()))))
    assert found.stderr > 0
    assert found.value == pytest.approx(2**1.5, abs=standard_errors(19) * found.stderr)


def test_the_error_of_perplexity_is_that_of_its_spread(make_subject, by_name):
    """Over data drawn anew; with codes that are the same at all four positions, so that points, not codes, count."""

    def repeated(seed):
        rng = np.random.default_rng(seed)
        return lambda _, shape: np.repeat(rng.choice(5, size=(shape[0], 1), p=[0.4, 0.3, 0.2, 0.1, 0]), 4, axis=1)

    found = [by_name(measure(make_subject(Quantizer(5), pixels(repeated(seed))))) for seed in range(60)]
    values, errors = (
        np.array([getattr(each.codebook_perplexity, name) for each in found]) for name in ("value", "stderr")
    )
    spread = values.std(ddof=1)
    # 60 draws know a standard deviation to 1/sqrt(118) of itself, and each error has 19 degrees of freedom
    assert errors.mean() == pytest.approx(spread, rel=5 * math.hypot(1 / 118**0.5, 1 / (38 * 60) ** 0.5))
    truth = math.exp(entropy([0.4, 0.3, 0.2, 0.1]))
    assert values.mean() == pytest.approx(truth, abs=5 * spread / 60**0.5)


def test_a_uniform_prior_costs_the_logarithm_of_the_codebooks_size(make_subject, by_name):
    dataset = pixels(lambda rng, shape: rng.integers(5, size=shape))
    got = by_name(measure(make_subject(Quantizer(64, certainty=0.5), dataset)))
    nats = 4 * math.log(2) + 4 * math.log(64)
    likelihood, bits = got.uniform_prior_log_likelihood, got.uniform_prior_bits_per_dim
    assert (likelihood.value, likelihood.kind, likelihood.unit) == (pytest.approx(-nats), "lower_bound", "nats")
    assert (bits.value, bits.kind, bits.better) == (pytest.approx(1 + 6), "upper_bound", "lower")
    assert bits.stderr == pytest.approx(0)
    assert bits.settings["conditional_nats"] == pytest.approx(4 * math.log(2))
    assert bits.settings["code_nats"] == pytest.approx(4 * math.log(64))


def test_the_bounds_error_is_that_of_a_mean_over_points(make_subject, by_name):
    class Uneven(Quantizer):
        def log_likelihood(self, x, codes):
            return -codes.sum(1).float()

    dataset = pixels(lambda rng, shape: rng.integers(5, size=shape))
    got = by_name(measure(make_subject(Uneven(5), dataset))).uniform_prior_log_likelihood
    sums = dataset.test.x.sum(1)
    assert got.value == pytest.approx(-sums.mean() - 4 * math.log(5))
    assert got.stderr == pytest.approx(sums.std(ddof=1) / 300**0.5)


def test_continuous_data_has_no_bits(make_subject, continuous_dataset):
    class Signs(Quantizer):
        def codes(self, x):
            return (x > 0).long()

    measured = measure(make_subject(Signs(2), continuous_dataset))
    assert [each.name for each in measured] == [
        "codebook_usage",
        "codebook_perplexity",
        "uniform_prior_log_likelihood",
    ]


def test_fewer_codes_than_the_codebook_has_are_flagged(make_subject, by_name):
    dataset = pixels(lambda rng, shape: rng.integers(5, size=shape), (5, 5, 12))
    got = by_name(measure(make_subject(Quantizer(100), dataset)))
    for each in (got.codebook_usage, got.codebook_perplexity):
        assert each.flags == ("fewer codes were looked at than the codebook has",)
    assert got.codebook_usage.value <= 0.05
    assert by_name(measure(make_subject(Quantizer(48), dataset))).codebook_usage.flags == ()


def test_at_most_n_points_are_looked_at(make_subject, by_name):
    dataset = pixels(lambda rng, shape: rng.integers(5, size=shape))
    got = by_name(measure(make_subject(Quantizer(5), dataset), n=30))
    assert got.codebook_usage.settings["n"] == 30
    assert got.codebook_perplexity.stderr > 0


def test_models_without_a_codebook_and_single_points_are_not_measured(make_subject):
    with pytest.raises(NotApplicable, match="no Quantized"):
        ask(Codebook(Codebook.Config()), make_subject(object()))
    dataset = pixels(lambda rng, shape: rng.integers(5, size=shape), (5, 5, 1))
    with pytest.raises(NotApplicable, match="at least two"):
        measure(make_subject(Quantizer(5), dataset))


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"codes": torch.zeros(3, 4).long()}, r"codes returned shape \(3, 4\), not \(300, any\)"),
        ({"codes": torch.full((300, 4), 5)}, r"codes returned torch\.int64 from 5 to 5, not integers below 5"),
        ({"codes": torch.full((300, 4), -1)}, r"codes returned torch\.int64 from -1 to -1, not integers below 5"),
        ({"codes": torch.ones(300, 4)}, r"codes returned torch\.float32 from 1\.0 to 1\.0, not integers"),
        ({"log_likelihood": torch.zeros(300, 1)}, r"log_likelihood returned shape"),
        ({"log_likelihood": torch.full((300,), math.nan)}, r"log_likelihood returned 300 NaN"),
        ({"log_likelihood": torch.ones(300)}, r"log_likelihood returned 1 nats for discrete data, a probability above"),
    ],
)
def test_what_is_no_code_or_likelihood_is_named(make_subject, methods, message):
    dataset = pixels(lambda rng, shape: rng.integers(5, size=shape))
    with pytest.raises(MetricError, match=rf"Quantizer\.{message}"):
        measure(make_subject(returning(**methods), dataset))

import math

import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Split
from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.compression import Compression, Quantiser
from genbench.model import Encoder, Reconstructor


class Coder(Encoder, Reconstructor):
    def __init__(self, encode, decode):
        self.there, self.back = encode, decode

    def encode(self, x):
        return self.there(x)

    def decode(self, z):
        return self.back(z)

    def reconstruct(self, x):
        return self.decode(self.encode(x))


def identity(shape=(1, 3, 3)):
    return Coder(lambda x: x.flatten(1), lambda z: z.view(len(z), *shape))


def measure(subject, **config):
    return Compression(Compression.Config(**config)).measure(subject)


def continuous(draw, dims, sizes=(4000, 5, 1000), seed=0):
    rng = np.random.default_rng(seed)
    splits = [Split(draw(rng, (n, dims)).astype(np.float32)) for n in sizes]
    return Dataset("continuous", DataSpec((dims,), "continuous"), *splits, family="continuous")


@pytest.mark.parametrize("bits", range(1, 9))
def test_uniform_codes_cost_their_bits_and_leave_a_uniform_error(bits):
    rng = np.random.default_rng(0)
    train, test = rng.uniform(-3, 5, (200_000, 2)), rng.uniform(-3, 5, (5000, 2))
    quantiser = Quantiser.fit(train, bits)
    cells = quantiser.cells(test)
    rates = quantiser.bits(cells)
    # almost uniform: the outermost cells begin a thousandth of the mass further in, and counts are finite
    assert rates.mean() == pytest.approx(2 * bits, abs=0.01 + 5 * rates.std() / math.sqrt(len(rates)))
    step = 8 * 0.998 / 2**bits
    error = (quantiser.centroids(cells) - test) ** 2
    # the squares of 10,000 uniform numbers have a mean that is known to sqrt(4/5/10,000) of itself
    assert error.mean() == pytest.approx(step**2 / 12, rel=5 * math.sqrt(4 / 5 / 10_000))


def test_the_rate_is_the_cross_entropy_under_smoothed_counts():
    train = np.array([0.0] * 5 + [1.0] * 2 + [2.0] + [3.0] * 2)[:, None]
    quantiser = Quantiser.fit(train, 2)
    assert quantiser.cells(train)[:, 0].tolist() == [0] * 5 + [1] * 2 + [2] + [3] * 2
    shares = np.array([6, 3, 2, 3]) / 14
    test = np.array([-9.0, 1.0, 2.0, 99.0])[:, None]
    assert quantiser.bits(quantiser.cells(test)) == pytest.approx(-np.log2(shares))
    assert quantiser.centroids(quantiser.cells(test))[:, 0] == pytest.approx([0, 1, 2, 3])


def test_every_dimensions_costs_sum_to_a_probability():
    rng = np.random.default_rng(0)
    quantiser = Quantiser.fit(rng.normal(size=(50, 3)), 6)
    assert (2.0**-quantiser.cost).sum(1) == pytest.approx(1)


def test_a_dimension_that_does_not_vary_costs_nothing():
    rng = np.random.default_rng(0)
    varying = rng.uniform(size=(1000, 1))
    rounding = 1e-9 * rng.uniform(size=(1000, 1))
    quantiser = Quantiser.fit(np.hstack([np.full((1000, 1), 7.0), varying, rounding]), 3)
    costs = quantiser.cost[np.arange(3), 0]
    assert costs[[0, 2]] == pytest.approx([0, 0])
    assert costs[1] > 2
    assert quantiser.centroids(np.zeros((1, 3), int))[0, 0] == 7.0


def test_an_empty_cell_stands_for_its_middle():
    quantiser = Quantiser.fit(np.repeat([0.0, 8.0], 50)[:, None], 2)
    cells = quantiser.cells(np.array([[3.0], [5.0]]))
    assert quantiser.centroids(cells)[:, 0] == pytest.approx([3.0, 5.0])


def test_uniform_data_needs_the_bits_that_bring_the_error_down(make_subject, by_name):
    """Half of the dimensions are kept: the others' error allows a tenth of itself, 1/120, to the quantiser, whose error
    is 4^-b/12 for 1/12 in each dimension dropped."""

    def half(z):
        return torch.cat([z, torch.full_like(z, 0.5)], 1)

    dataset = continuous(lambda rng, shape: rng.uniform(size=shape), 4)
    got = by_name(measure(make_subject(Coder(lambda x: x[:, :2], half), dataset)))
    bits, mse = got.compression_bits, got.compression_mse
    assert (bits.kind, bits.better, bits.unit) == ("upper_bound", "neither", "bits")
    assert (mse.kind, mse.better) == ("exact", "neither")
    assert (bits.flags, mse.flags) == ((), ())
    assert bits.settings["bits_per_code_dim"] == 2  # 1/16 of the error; one bit would leave 1/4
    # the squares of 2000 numbers have a mean that is known to sqrt(4/5/2000) of itself
    known_to = math.sqrt(4 / 5 / 2000)
    assert bits.settings["unquantised_mse"] == pytest.approx(1 / 24, rel=5 * known_to)
    assert bits.value == pytest.approx(4, abs=0.01 + 5 * bits.stderr)
    assert mse.value == pytest.approx((1 + 1 / 16) / 24, rel=5 * known_to)
    assert mse.value <= 1.1 * mse.settings["unquantised_mse"]
    assert bits.interval[0] < bits.value < bits.interval[1]
    assert mse.interval[0] < mse.value < mse.interval[1]


def test_the_whole_curve_falls_in_error_as_it_rises_in_bits(make_subject, by_name):
    dataset = continuous(lambda rng, shape: rng.normal(size=shape), 3)
    got = by_name(measure(make_subject(identity((3,)), dataset)))
    curve = got.compression_bits.settings["rate_distortion"]
    assert len(curve) == 8
    rates, errors = ([point[name] for point in curve] for name in ("bits", "mse"))
    assert rates == sorted(rates)
    assert errors == sorted(errors, reverse=True)
    # no scalar quantiser of a Gaussian is below its rate-distortion function, 1/2 log2(variance/error) per dimension
    assert all(rate > 3 * 0.5 * math.log2(1 / error) for rate, error in zip(rates[:6], errors[:6], strict=True))


def test_levels_are_found_and_cost_their_entropy(make_subject, make_dataset, by_name):
    """Pixels as code of themselves: their four levels need two bits for no error, and cost what pixels do."""
    dataset = make_dataset((2000, 5, 500))
    got = by_name(measure(make_subject(identity(), dataset)))
    assert got.compression_mse.value == 0
    assert got.compression_mse.stderr == 0
    assert got.compression_bits.settings["bits_per_code_dim"] == 2
    counts = np.stack([(dataset.train.x == level).sum(0).ravel() for level in range(4)])
    cost = -np.log2((counts + 1) / (2000 + 4))
    test = dataset.test.x.reshape(500, 9)
    expected = cost[test, np.arange(9)].sum(1)
    assert got.compression_bits.value == pytest.approx(expected.mean())


def test_an_error_that_no_quantised_code_reaches_is_flagged(make_subject, by_name):
    dataset = continuous(lambda rng, shape: rng.normal(size=shape), 3)
    got = by_name(measure(make_subject(identity((3,)), dataset)))
    for measurement in (got.compression_bits, got.compression_mse):
        assert measurement.settings["bits_per_code_dim"] == 8
        assert measurement.flags == ("8 bits per dimension leave more than 1.1 times the error of the code as it is",)
    assert got.compression_mse.value > 0
    assert got.compression_mse.settings["unquantised_mse"] == 0


def test_constant_codes_cost_nothing(make_subject, by_name):
    def grey(z):
        return torch.full((len(z), 1, 3, 3), 0.5)

    got = by_name(measure(make_subject(Coder(lambda x: torch.ones(len(x), 4), grey))))
    assert (got.compression_bits.value, got.compression_bits.stderr) == (0, 0)
    assert got.compression_mse.value == pytest.approx(got.compression_mse.settings["unquantised_mse"])
    assert got.compression_bits.flags == ("the codes of training data are all the same",)


def test_codes_of_one_dimension_are_measured(make_subject, by_name):
    model = Coder(lambda x: x.flatten(1).mean(1, keepdim=True), lambda z: z.view(-1, 1, 1, 1).expand(-1, 1, 3, 3))
    got = by_name(measure(make_subject(model)))
    assert got.compression_bits.settings["dimension"] == 1
    assert 0 < got.compression_bits.value <= 8 + math.log2((200 + 256) / 200)


def test_a_model_without_a_way_back_or_there_is_told_so(make_subject):
    class NoDecoder(Encoder, Reconstructor):
        def encode(self, x):
            return x.flatten(1)

        def reconstruct(self, x):
            return x

    class NoEncoder(Reconstructor):
        def reconstruct(self, x):
            return x

        def decode(self, z):
            return z

    with pytest.raises(NotApplicable, match="no way back from a code"):
        measure(make_subject(NoDecoder()))
    with pytest.raises(NotApplicable, match="no Encoder"):
        measure(make_subject(NoEncoder()))
    with pytest.raises(NotImplementedError, match="NoDecoder does not reconstruct from codes"):
        NoDecoder().decode(torch.zeros(1, 9))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Coder(lambda x: x, lambda z: z), r"Coder\.encode returned shape \(200, 1, 3, 3\), not \(200, any\)"),
        (Coder(lambda x: x.flatten(1), lambda z: z), r"Coder\.decode returned shape \(60, 9\), not \(60, 1, 3, 3\)"),
        (Coder(lambda x: x.flatten(1) / 0, lambda z: z), r"Coder\.encode returned .* NaN"),
    ],
)
def test_what_is_no_code_or_reconstruction_is_named(make_subject, model, message):
    with pytest.raises(MetricError, match=message):
        measure(make_subject(model))

import itertools
import math

import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Split, ViewOptions, apply_view
from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.coding import some_points
from genbench.metrics.denoising import CEILING, Denoising
from genbench.model import Reconstructor

DIMS = 8


class Function(Reconstructor):
    """Reconstructs by a function, and remembers what it was given."""

    def __init__(self, function):
        self.function = function
        self.seen = []

    def reconstruct(self, x):
        self.seen.append(x)
        return self.function(x)


def measure_both(subject, **config):
    psnr, gain = Denoising(Denoising.Config(**config)).measure(subject)
    assert (psnr.name, gain.name) == Denoising.names
    assert psnr.settings == gain.settings
    return psnr, gain


def measure(subject, **config):
    return measure_both(subject, **config)[0]


def plane(n=1000, scale=1.0):
    """Points in a random plane of a space of eight dimensions, and the projection onto it `(8, 8)`."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(DIMS, 2)))[0].T
    splits = [Split((scale * rng.normal(size=(n, 2)) @ axes).astype(np.float32)) for _ in range(3)]
    return Dataset("plane", DataSpec((DIMS,), "continuous"), *splits, family="plane"), torch.from_numpy(axes.T @ axes)


def dataset_of(kind, make_dataset):
    if kind == "continuous":
        return plane()[0]
    return apply_view(make_dataset(), ViewOptions(binarize="threshold" if kind == "binary" else None))


@pytest.mark.parametrize(
    ("kind", "corruption"),
    [
        *itertools.product(["binary", "discrete", "continuous"], ["auto", "gaussian", "masking"]),
        *itertools.product(["binary", "discrete"], ["salt-and-pepper"]),
    ],
)
def test_what_changes_nothing_gains_nothing(make_subject, make_dataset, kind, corruption):
    subject = make_subject(Function(lambda x: x), dataset_of(kind, make_dataset))
    got, gain = measure_both(subject, corruption=corruption)
    assert (got.kind, got.better, got.unit) == (gain.kind, gain.better, gain.unit) == ("estimate", "higher", "dB")
    assert got.value == got.settings["noisy_psnr"]
    assert (gain.value, gain.stderr, gain.interval) == (0.0, 0.0, (0.0, 0.0))
    low, high = got.interval
    assert low < got.value < high


def test_a_projection_keeps_the_noise_along_the_plane_only(make_subject):
    dataset, projection = plane()
    got, gain = measure_both(make_subject(Function(lambda x: x @ projection.float()), dataset))
    # sigma of the spread in every dimension before, in two of eight after
    before, after = -20 * math.log10(0.2), -20 * math.log10(0.2) + 10 * math.log10(DIMS / 2)
    spread = math.sqrt(dataset.train.x.astype(float).var(0).mean())
    assert got.settings["peak"] == pytest.approx(spread)
    assert got.settings["noisy_psnr"] == pytest.approx(before, abs=5 * 4.343 * math.sqrt(2 / (1000 * DIMS)))
    assert got.value == pytest.approx(after, abs=5 * got.stderr)
    # a chi-squared error of two degrees of freedom per point, whose kurtosis is 9: the standard deviation of 1000 is
    # known to sqrt(8/4000), and a bootstrap of 1000 gives it to sqrt(1/2000)
    known_to = math.sqrt(8 / 4000 + 1 / 2000)
    assert got.stderr == pytest.approx(4.343 * math.sqrt(2 / (1000 * 2)), rel=5 * known_to)
    # and of eight before, of which those two are a part: relative variances 1 and 1/4, and covariance 1/4
    assert gain.value == pytest.approx(10 * math.log10(DIMS / 2), abs=5 * gain.stderr)
    assert gain.stderr == pytest.approx(4.343 * math.sqrt((1 + 1 / 4 - 2 / 4) / 1000), rel=5 * known_to)


def test_the_gain_s_interval_covers(make_subject, monkeypatch):
    """150 sets of 60 points, each with noise of its own: a 95% interval misses 7.5 on average, with a standard
    deviation of 2.7."""
    rng = np.random.default_rng(0)
    train = rng.normal(size=(500, 2)).astype(np.float32)
    spread = math.sqrt(train.astype(float).var(0).mean())
    # x/2 + noise/2 - x has the variance (1 + (sigma spread)²)/4 where the noise has (sigma spread)²
    variance = (0.5 * spread) ** 2
    truth = -10 * math.log10((1 + variance) / 4 / variance)
    hits, gains, errors = 0, [], []
    for seed in range(150):
        monkeypatch.setattr("genbench.metrics.denoising.PROTOCOL_SEED", seed)
        test = rng.normal(size=(60, 2)).astype(np.float32)
        dataset = Dataset(
            "normal", DataSpec((2,), "continuous"), Split(train), Split(train), Split(test), family="normal"
        )
        gain = measure_both(make_subject(Function(lambda x: x / 2), dataset), sigma=0.5)[1]
        hits += gain.interval[0] <= truth <= gain.interval[1]
        gains.append(gain.value)
        errors.append(gain.stderr)
    assert hits >= 142.5 - 5 * 2.7
    # a standard deviation of 150 draws is known to 1/sqrt(300) of itself
    assert np.mean(errors) == pytest.approx(np.std(gains), rel=5 / math.sqrt(300))


def test_continuous_data_is_measured_in_its_own_units(make_subject):
    values = [
        measure(make_subject(Function(lambda x: x), plane(scale=scale)[0])).settings["noisy_psnr"]
        for scale in (1.0, 1000.0)
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-4)


def test_grey_noise_stays_on_the_levels(make_subject):
    model = Function(lambda x: x)
    subject = make_subject(model)
    measure(subject)
    (seen,) = model.seen
    levels = seen * 4
    assert torch.equal(levels, levels.round())
    assert 0 <= seen.min() < seen.max() <= 1
    assert not torch.equal(seen.sort(0).values, subject.test.x().sort(0).values)


def test_binary_noise_flips_pixels_at_its_rate(make_subject, make_dataset):
    dataset = dataset_of("binary", lambda: make_dataset((5, 5, 1000)))
    model = Function(lambda x: x)
    got = measure(make_subject(model, dataset), flip=0.25)
    assert set(model.seen[0].unique().tolist()) == {0.0, 1.0}
    assert got.settings["flip"] == 0.25
    assert 10 ** (-got.value / 10) == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 9000))


def test_the_noise_can_be_that_of_denoising_autoencoders(make_subject, make_dataset):
    dataset = make_dataset((5, 5, 1000))
    clean = some_points(make_subject(None, dataset).test, 1000)
    for corruption, changed in (("masking", {0.0}), ("salt-and-pepper", {0.0, 1.0})):
        model = Function(lambda x: x)
        got = measure(make_subject(model, dataset), corruption=corruption, rate=0.3)
        assert (got.settings["corruption"], got.settings["rate"]) == (corruption, 0.3)
        assert "sigma" not in got.settings
        seen = torch.cat(model.seen)
        assert set(seen[seen != clean].tolist()) == changed
        # pixels of 0.5 show every hit
        grey = clean == 0.5
        share = (seen != clean)[grey].double().mean().item()
        assert share == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / int(grey.sum())))


def test_salt_and_pepper_of_continuous_data_is_refused(make_subject):
    with pytest.raises(NotApplicable, match=r"salt-and-pepper noise needs data in \[0, 1\]"):
        measure(make_subject(Function(lambda x: x), plane()[0]), corruption="salt-and-pepper")


@pytest.mark.parametrize("kind", ["binary", "discrete", "continuous"])
def test_every_model_sees_the_same_noise(make_subject, make_dataset, kind):
    seen = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = Function(lambda x: x)
        measure(make_subject(model, dataset_of(kind, make_dataset)))
        seen.append(torch.cat(model.seen))
    assert torch.equal(*seen)


def test_the_error_is_pooled_and_its_interval_carried_through_the_logarithm(make_subject):
    subject = make_subject(Function(lambda x: torch.full_like(x, 0.5)))
    got = measure(subject)
    errors = (subject.test.x().double() - 0.5).square().flatten(1).mean(1)
    assert got.value == pytest.approx(-10 * math.log10(errors.mean().item()))
    expected = 10 / math.log(10) * errors.std().item() / math.sqrt(60) / errors.mean().item()
    known_to = 1 / math.sqrt(2000)  # the standard deviation of a bootstrap of 1000
    assert got.stderr == pytest.approx(expected, rel=5 * known_to)
    low, high = got.interval
    # the quantiles of the bootstrap at 2.5% and 97.5%, each known to sqrt(0.025 0.975/1000)/0.058 standard deviations
    assert (high - low) / 2 == pytest.approx(
        1.96 * got.stderr, rel=5 * math.hypot(known_to, 0.085 / math.sqrt(2) / 1.96)
    )


def test_points_restored_exactly_do_not_make_the_ratio_infinite(make_subject, make_dataset):
    # rare flips leave most points as they were
    got = measure(make_subject(Function(lambda x: x), dataset_of("binary", make_dataset)), flip=0.01)
    assert 15 < got.value < 35


def test_no_error_at_all_is_the_ceiling_with_a_flag(make_subject):
    rng = np.random.default_rng(0)
    point = rng.normal(size=DIMS).astype(np.float32)
    splits = [Split(rng.normal(size=(9, DIMS)).astype(np.float32))] * 2 + [Split(np.tile(point, (9, 1)))]
    dataset = Dataset("one", DataSpec((DIMS,), "continuous"), *splits, family="one")
    got, gain = measure_both(make_subject(Function(lambda x: torch.from_numpy(point).expand_as(x)), dataset))
    assert (got.value, got.stderr, got.interval) == (CEILING, None, None)
    assert (gain.value, gain.stderr, gain.interval) == (CEILING - got.settings["noisy_psnr"], None, None)
    assert got.flags == gain.flags
    assert "no error" in got.flags[0]


def test_noise_without_effect_or_scale_is_refused(make_subject):
    with pytest.raises(NotApplicable, match="changed no test point"):
        measure(make_subject(Function(lambda x: x)), sigma=1e-3)
    split = Split(np.ones((5, 2), np.float32))
    constant = Dataset("ones", DataSpec((2,), "continuous"), split, split, split, family="ones")
    with pytest.raises(NotApplicable, match="constant"):
        measure(make_subject(Function(lambda x: x), constant))


def test_one_test_point_is_too_few(make_subject, make_dataset):
    with pytest.raises(NotApplicable, match="at least two"):
        measure(make_subject(Function(lambda x: x), make_dataset((5, 5, 1))))


def test_what_is_no_reconstruction_is_named(make_subject):
    with pytest.raises(MetricError, match=r"Function\.reconstruct returned 540 NaN"):
        measure(make_subject(Function(lambda x: x * torch.nan)))

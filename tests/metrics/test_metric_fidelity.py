from dataclasses import replace

import numpy as np
import pytest
import torch
import torch_fidelity
from torch import nn

from genbench.metrics import MetricError, NotApplicable, features, fidelity
from genbench.metrics.base import choose
from genbench.metrics.features import samples
from genbench.metrics.fidelity import FEW_POINTS, DensityCoverage, FrechetDistance, KernelDistance, PrecisionRecall
from genbench.metrics.memorisation import FLAG, Memorisation
from genbench.model import Conditional, Sampler

LEVELS = 5


class Pixels:
    """The extractor whose features are the pixels."""

    name, sha256, dims = "pixels", "00ff", None

    def __init__(self):
        self.seen = 0

    def __call__(self, x):
        self.seen += len(x)
        return x.flatten(1).double()


@pytest.fixture
def extractor(monkeypatch):
    pixels = Pixels()
    monkeypatch.setattr(features, "extractor_for", lambda dataset: "pixels")
    monkeypatch.setattr(features, "load_extractor", lambda name, device, weights=None: pixels)
    return pixels


class Hands(Sampler):
    """Hands out given points, one after the other."""

    def __init__(self, x):
        self.x = x
        self.calls = []

    def sample(self, n, y=None):
        start = sum(self.calls)
        self.calls.append(n)
        return self.x[start : start + n]


class Module(nn.Module, Sampler):
    """A model, not a reference row, that draws as another sampler does."""

    def __init__(self, sampler):
        super().__init__()
        self.sampler = sampler

    def sample(self, n, y=None):
        return self.sampler.sample(n)


class Noise(Sampler):
    def sample(self, n, y=None):
        return torch.randint(LEVELS, (n, 1, 3, 3)) / (LEVELS - 1)


class Returns(Sampler):
    def __init__(self, make):
        self.make = make

    def sample(self, n, y=None):
        return self.make(n)


def measure(metric, subject, **config):
    return metric(metric.Config(**config)).measure(subject)


def split_x(dataset, name):
    return torch.from_numpy(getattr(dataset, name).x) / (LEVELS - 1)


def test_a_copy_of_the_reference_is_as_near_as_can_be(make_subject, make_dataset, extractor):
    dataset = make_dataset(sizes=(60, 10, 60))
    subject = make_subject(Hands(split_x(dataset, "train")), dataset)
    fid, plain = measure(FrechetDistance, subject)
    (kid,) = measure(KernelDistance, subject)
    precision, recall = measure(PrecisionRecall, subject)
    density, coverage = measure(DensityCoverage, subject)
    assert 0 <= plain.value < 1e-8
    assert fid.value < plain.value + fid.stderr
    assert kid.value < 0.01
    assert (precision.value, recall.value, coverage.value) == (1.0, 1.0, 1.0)
    assert density.value > 1
    assert all(FLAG in score.flags for score in (fid, plain, kid, precision, recall, density, coverage))


def test_the_three_agree_with_a_plain_call_of_torch_fidelity(make_subject, make_dataset, extractor):
    """The same images through torch-fidelity's own pipeline, with an extractor of its kind."""

    class Plain(torch_fidelity.FeatureExtractorBase):
        def __init__(self, name, features_list, **options):
            super().__init__(name, features_list)

        def forward(self, x):
            return (x.flatten(1).double(),)

        @staticmethod
        def get_provided_features_list():
            return ("pixels",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "pixels"

    class Images(torch.utils.data.Dataset):
        def __init__(self, x):
            self.x = x

        def __len__(self):
            return len(self.x)

        def __getitem__(self, index):
            return self.x[index]

    torch_fidelity.register_feature_extractor("plain-pixels", Plain)
    subject = make_subject(Noise(), make_dataset(sizes=(150, 10, 60)))
    reference = subject.train.batch(choose(subject.train)).x

    def plain(x, y, **options):
        return torch_fidelity.calculate_metrics(
            input1=Images(x),
            input2=Images(y),
            feature_extractor="plain-pixels",
            cache=False,
            cuda=False,
            save_cpu_ram=True,
            verbose=False,
            rng_seed=0,
            **options,
        )

    generated = samples(subject, 60)
    want = plain(generated, reference, fid=True)
    want |= plain(generated, reference[:60], kid=True, kid_subset_size=60, kid_subsets=1, prc=True)
    fid = measure(FrechetDistance, subject)[1]
    (kid,) = measure(KernelDistance, subject, n_reference=60)
    precision, recall = measure(PrecisionRecall, subject)
    assert fid.value == pytest.approx(want["frechet_inception_distance"], rel=1e-6)
    assert kid.value == pytest.approx(want["kernel_inception_distance_mean"], rel=1e-6)
    assert (precision.value, recall.value) == (want["precision"], want["recall"])
    assert (precision.settings["n"], precision.settings["n_reference"]) == (60, 60)


def test_one_real_image_again_and_again_is_precise_and_recalls_nothing(make_subject, extractor):
    subject = make_subject(None)
    subject.model = Returns(lambda n: subject.train.x(1).expand(n, -1, -1, -1))
    precision, recall = measure(PrecisionRecall, subject)
    assert precision.value == 1.0
    assert recall.value < 0.1


def test_settings_say_what_was_compared(make_subject, extractor):
    fid, plain = measure(FrechetDistance, make_subject(Noise()))
    assert (fid.name, fid.kind, fid.better) == ("fid", "estimate", "lower")
    assert (plain.name, plain.kind, plain.better, plain.stderr) == ("fid_plugin", "estimate", "lower", None)
    assert plain.settings == {
        "n": 60,
        "n_reference": 200,
        "reference": "train",
        "extractor": "pixels",
        "extractor_sha256": "00ff",
        "dims": 9,
    }
    assert fid.settings == plain.settings | {"groups": 20}
    (kid,) = measure(KernelDistance, make_subject(Noise()), n=20, n_reference=50, reference="test")
    assert kid.settings | {"n": 20, "n_reference": 50, "reference": "test", "groups": 20} == kid.settings


def test_kid_uses_so_many_data_points_only(make_subject, extractor, monkeypatch):
    monkeypatch.setattr(fidelity, "MAX_KERNEL_POINTS", 70)
    (limited,) = measure(KernelDistance, make_subject(Noise()))
    (asked,) = measure(KernelDistance, make_subject(Noise()), n_reference=70)
    assert limited.settings["n_reference"] == 70
    assert limited == asked


def test_fewer_than_three_points_per_dimension_are_flagged_and_have_no_interval(make_subject, extractor):
    fid, plain = measure(FrechetDistance, make_subject(Noise()), n=26)
    assert (fid.stderr, fid.interval) == (None, None)
    assert FEW_POINTS in fid.flags
    assert FEW_POINTS in plain.flags
    fid, plain = measure(FrechetDistance, make_subject(Noise()), n=27)
    assert fid.stderr > 0
    assert fid.interval == pytest.approx((fid.value - 2.093 * fid.stderr, fid.value + 2.093 * fid.stderr), rel=1e-3)
    assert (fid.flags, plain.flags) == ((), ())


def test_a_conditional_model_is_given_labels_as_frequent_as_in_training(make_subject, make_dataset, extractor):
    seen = []

    class ByLabel(Noise, Conditional):
        def sample(self, n, y=None):
            seen.append(y)
            return super().sample(n)

    dataset = make_dataset(sizes=(300, 20, 60))
    measure(FrechetDistance, make_subject(ByLabel(), dataset), n=3000)
    drawn = torch.bincount(torch.cat(seen), minlength=3) / 3000
    frequency = torch.bincount(torch.from_numpy(dataset.train.y)) / 300
    assert ((drawn - frequency).abs() < 5 * (frequency * (1 - frequency) / 3000).sqrt()).all()


def test_shares_have_binomial_errors_and_density_that_of_a_mean(make_subject, make_dataset, extractor):
    dataset = make_dataset(sizes=(100, 20, 60))
    one_class = split_x(dataset, "test")[dataset.test.y == 0].repeat(5, 1, 1, 1)[:50]
    subject = make_subject(Hands(torch.cat([one_class, torch.ones(10, 1, 3, 3)])), dataset)
    precision, recall, _, coverage = measure(PrecisionRecall, subject) + measure(DensityCoverage, subject)
    for share in (precision, recall):
        assert 0 < share.value < 1
        assert share.stderr == pytest.approx((share.value * (1 - share.value) / 60) ** 0.5)
    assert coverage.stderr == pytest.approx((coverage.value * (1 - coverage.value) / 60) ** 0.5)
    assert {**precision.settings, **coverage.settings}["k"] == 5


def test_the_curve_does_not_look_for_copies(make_subject, make_dataset, extractor):
    dataset = make_dataset(sizes=(60, 10, 60))
    subject = make_subject(Hands(split_x(dataset, "train")), dataset)
    quick = FrechetDistance(FrechetDistance.Config()).quick()
    assert measure(FrechetDistance, subject, **(quick | {"n": 60}))[0].flags == ()
    assert measure(FrechetDistance, subject)[0].flags == (FLAG,)


def test_samples_and_features_are_made_once_for_all_metrics(make_subject, make_dataset, extractor):
    dataset = make_dataset()
    model = Hands(split_x(dataset, "train"))
    subject = make_subject(model, dataset)
    for metric in (FrechetDistance, KernelDistance, PrecisionRecall, DensityCoverage, Memorisation):
        measure(metric, subject)
    assert model.calls == [60]
    assert extractor.seen == 60 + 200 + 20


def test_features_of_data_are_found_again_by_what_they_depend_on(make_subject, make_dataset, extractor, monkeypatch):
    monkeypatch.setattr("genbench.metrics.feature_cache.WORTHWHILE", 0)

    def seen(subject, **config):
        before = extractor.seen
        measure(KernelDistance, subject, memorisation=False, **config)
        return extractor.seen - before - 60

    dataset = make_dataset(seed=1)
    assert seen(make_subject(Noise(), dataset)) == 200
    assert seen(make_subject(Noise(), dataset)) == 0
    assert seen(make_subject(Noise(), dataset), reference="test") == 60
    assert seen(make_subject(Noise(), dataset), n_reference=50) == 50
    assert seen(make_subject(Noise(), make_dataset(seed=2))) == 200
    extractor.sha256 = "11ff"
    assert seen(make_subject(Noise(), dataset)) == 200


def test_another_split_in_the_place_of_one_is_not_taken_for_it(make_subject, make_dataset, extractor, monkeypatch):
    """The curve is measured with the validation split as the test split."""
    monkeypatch.setattr("genbench.metrics.feature_cache.WORTHWHILE", 0)
    subject = make_subject(Noise(), make_dataset(sizes=(60, 60, 60), seed=3))
    (test,) = measure(KernelDistance, subject, reference="test")
    (validation,) = measure(KernelDistance, replace(subject, test=subject.validation, memo={}), reference="test")
    assert test.value != validation.value


def test_samples_depend_on_the_runs_seed_alone_and_leave_the_generator_as_it_was(make_subject, extractor):
    first, second, other = (make_subject(Noise()) for _ in range(3))
    other.seed = 1
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    a = samples(first, 30)
    assert torch.rand(1) == expected
    assert torch.equal(a, samples(second, 30))
    assert not torch.equal(a, samples(other, 30))


def test_more_samples_than_one_call_draws_are_put_together(make_subject, make_dataset, extractor):
    dataset = make_dataset(sizes=(1234, 10, 60))
    hands = Hands(split_x(dataset, "train"))
    assert torch.equal(samples(make_subject(Module(hands), dataset), 1234), hands.x)
    assert hands.calls == [500, 500, 234]


def test_a_reference_row_is_asked_once_so_that_it_repeats_nothing(make_subject, make_dataset, extractor):
    dataset = make_dataset(sizes=(1234, 10, 60))
    hands = Hands(split_x(dataset, "train"))
    assert torch.equal(samples(make_subject(hands, dataset), 1234), hands.x)
    assert hands.calls == [1234]


@pytest.mark.parametrize("metric", [FrechetDistance, KernelDistance, DensityCoverage, Memorisation])
def test_features_that_are_no_numbers_name_the_extractor_and_the_sampler(make_subject, extractor, monkeypatch, metric):
    monkeypatch.setattr(Pixels, "__call__", lambda self, x: x.flatten(1).double().log().sub(1).log())
    message = r"Pixels\.features returned \d+ NaN among 540 numbers, given what came from Noise\.sample"
    with pytest.raises(MetricError, match=message):
        measure(metric, make_subject(Noise()))


def test_features_of_data_that_are_no_numbers_name_the_split(make_subject, extractor):
    subject = make_subject(Noise())
    measure(FrechetDistance, subject, memorisation=False)
    subject.memo = {key: value for key, value in subject.memo.items() if "train" not in key}
    extractor.__class__ = type("Pixels", (Pixels,), {"__call__": lambda self, x: x.flatten(1) / 0 * 0})
    with pytest.raises(MetricError, match=r"features returned \d+ NaN .* from the train split"):
        measure(FrechetDistance, subject)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: torch.zeros(n, 9), r"Returns\.sample returned shape \(60, 9\), not \(60, 1, 3, 3\)"),
        (lambda n: torch.zeros(n + 1, 1, 3, 3), r"returned shape \(61, 1, 3, 3\)"),
        (lambda n: torch.full((n, 1, 3, 3), torch.nan), r"Returns\.sample returned 540 NaN among 540 numbers"),
        (lambda n: torch.full((n, 1, 3, 3), 1.25), r"values from 1\.25 to 1\.25, the data's are in \[0, 1\]"),
        (lambda n: torch.full((n, 1, 3, 3), 0.6), r"up to 0\.4 levels away from the data's 5 levels"),
    ],
)
def test_what_are_no_samples_is_named(make_subject, extractor, make, message):
    with pytest.raises(MetricError, match=message):
        measure(FrechetDistance, make_subject(Returns(make)))


def test_a_sampler_that_starts_over_at_every_call_is_refused(make_subject, extractor):
    fixed = torch.randint(LEVELS, (500, 1, 3, 3)) / (LEVELS - 1)
    with pytest.raises(MetricError, match="same 500 samples twice"):
        samples(make_subject(Module(Returns(lambda n: fixed[:n]))), 1000)


def test_a_collapsed_sampler_is_not_mistaken_for_one(make_subject, extractor):
    collapsed = Module(Returns(lambda n: torch.zeros(n, 1, 3, 3)))
    assert samples(make_subject(collapsed), 1000).shape == (1000, 1, 3, 3)


def test_continuous_samples_may_have_any_value(make_subject, continuous_dataset, extractor):
    subject = make_subject(Returns(lambda n: 3 * torch.randn(n, 4)), continuous_dataset)
    assert measure(FrechetDistance, subject)[0].value > 1


def test_data_without_an_extractor_says_what_can_be_asked_for(make_subject, monkeypatch):
    monkeypatch.setattr(features, "extractor_for", lambda dataset: None)
    with pytest.raises(NotApplicable, match=r"fid\[extractor=inception\]"):
        measure(FrechetDistance, make_subject(Noise()))


def test_too_few_points_are_not_applicable(make_subject, make_dataset, extractor):
    with pytest.raises(NotApplicable, match="needs 10 data points, there are 4"):
        measure(KernelDistance, make_subject(Noise(), make_dataset(sizes=(50, 10, 4))))


def test_the_protocol_names_the_extractor_and_the_hash_of_its_weights(make_dataset, extractor, tmp_path):
    def protocol(**config):
        return KernelDistance(KernelDistance.Config(**config)).protocol(make_dataset())

    assert protocol() == {
        "extractor": "pixels",
        "extractor_sha256": "00ff",
        "reference": "train",
        "n": None,
        "n_reference": None,
    }
    # whether copies are looked for changes no number
    assert protocol(memorisation=False) == protocol()
    # the weights' place is no part of it, what they are is
    assert protocol(weights=tmp_path / "here.pth") == protocol(weights=tmp_path / "there.pth")
    extractor.sha256 = "abcd"
    assert protocol()["extractor_sha256"] == "abcd"


def test_the_protocol_can_be_asked_for_where_there_is_no_extractor(make_dataset, monkeypatch):
    monkeypatch.setattr(features, "extractor_for", lambda dataset: None)
    assert FrechetDistance(FrechetDistance.Config()).protocol(make_dataset())["extractor"] is None


def test_distances_rank_data_before_noise_with_the_digits_extractor(make_subject):
    from sklearn.datasets import load_digits

    from genbench.data import Dataset, DataSpec, Split

    digits = load_digits()
    x, y = digits.images.astype(np.uint8)[:, None], digits.target.astype(np.int64)
    spec = DataSpec((1, 8, 8), "discrete", 17, 10)
    splits = [Split(x[part], y[part]) for part in (slice(0, 1000), slice(1000, 1300), slice(1300, None))]
    dataset = Dataset("digits", spec, *splits, family="digits")
    data = make_subject(None, dataset)
    data.model = Hands(data.test.x())
    noise = make_subject(Returns(lambda n: torch.randint(17, (n, 1, 8, 8)) / 16), dataset)
    for metric in (FrechetDistance, KernelDistance):
        assert measure(metric, data)[0].value < 0.3 * measure(metric, noise)[0].value
    real, noisy = measure(PrecisionRecall, data), measure(PrecisionRecall, noise)
    assert min(real[0].value, real[1].value) > 0.5
    assert noisy[0].value < 0.1

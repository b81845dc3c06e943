import numpy as np
import pytest
import torch
import torch_fidelity
from torch import nn

from genbench.metrics import MetricError, NotApplicable, fidelity
from genbench.metrics.fidelity import FrechetDistance, KernelDistance, PrecisionRecall, samples
from genbench.model import Sampler

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
    monkeypatch.setattr(fidelity, "extractor_for", lambda dataset: "pixels")
    monkeypatch.setattr(fidelity, "load_extractor", lambda name, device, weights=None: pixels)
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
    (fid,) = measure(FrechetDistance, subject)
    (kid,) = measure(KernelDistance, subject)
    precision, recall = measure(PrecisionRecall, subject)
    assert 0 <= fid.value < 1e-8
    assert kid.value < 0.01
    assert (precision.value, recall.value) == (1.0, 1.0)


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
    reference = subject.train.batch(fidelity.choose(subject.train)).x

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
    want = plain(generated, reference, fid=True, kid=True, kid_subset_size=30, kid_subsets=100)
    want |= plain(generated, reference[:60], prc=True)
    (fid,) = measure(FrechetDistance, subject)
    (kid,) = measure(KernelDistance, subject)
    precision, recall = measure(PrecisionRecall, subject)
    assert fid.value == pytest.approx(want["frechet_inception_distance"], rel=1e-9)
    assert kid.value == pytest.approx(want["kernel_inception_distance_mean"], rel=1e-9)
    assert (precision.value, recall.value) == (want["precision"], want["recall"])
    assert (precision.settings["n"], precision.settings["n_reference"]) == (60, 60)


def test_one_real_image_again_and_again_is_precise_and_recalls_nothing(make_subject, extractor):
    subject = make_subject(None)
    subject.model = Returns(lambda n: subject.train.x(1).expand(n, -1, -1, -1))
    precision, recall = measure(PrecisionRecall, subject)
    assert precision.value == 1.0
    assert recall.value < 0.1


def test_settings_say_what_was_compared(make_subject, extractor):
    (fid,) = measure(FrechetDistance, make_subject(Noise()))
    assert (fid.kind, fid.better, fid.stderr) == ("estimate", "lower", None)
    assert fid.settings == {
        "n": 60,
        "n_reference": 200,
        "reference": "train",
        "extractor": "pixels",
        "extractor_sha256": "00ff",
        "dims": 9,
        "small_n": False,
    }
    (kid,) = measure(KernelDistance, make_subject(Noise()), n=20, n_reference=50, reference="test", subsets=3)
    assert (
        kid.settings | {"n": 20, "n_reference": 50, "reference": "test", "subsets": 3, "subset_size": 10}
        == kid.settings
    )
    assert kid.stderr is None


def test_fewer_than_three_points_per_dimension_are_flagged(make_subject, extractor):
    assert measure(FrechetDistance, make_subject(Noise()), n=26)[0].settings["small_n"]
    assert not measure(FrechetDistance, make_subject(Noise()), n=27)[0].settings["small_n"]


def test_samples_and_features_are_made_once_for_all_metrics(make_subject, make_dataset, extractor):
    dataset = make_dataset()
    model = Hands(split_x(dataset, "train"))
    subject = make_subject(model, dataset)
    for metric in (FrechetDistance, KernelDistance, PrecisionRecall):
        measure(metric, subject)
    assert model.calls == [60]
    assert extractor.seen == 60 + 200


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
    monkeypatch.setattr(fidelity, "extractor_for", lambda dataset: None)
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
        "subsets": 100,
        "subset_size": 1000,
    }
    # the weights' place is no part of it, what they are is
    assert protocol(weights=tmp_path / "here.pth") == protocol(weights=tmp_path / "there.pth")
    extractor.sha256 = "abcd"
    assert protocol()["extractor_sha256"] == "abcd"


def test_the_protocol_can_be_asked_for_where_there_is_no_extractor(make_dataset, monkeypatch):
    monkeypatch.setattr(fidelity, "extractor_for", lambda dataset: None)
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

import math

import pytest
import torch
from torch import nn

from genbench.data import Dataset, DataSpec, Split
from genbench.metrics import NotApplicable
from genbench.metrics.distances import inception_score
from genbench.metrics.inception_score import InceptionScore
from genbench.model import Sampler


def test_it_is_the_number_of_classes_that_are_equally_frequent_and_sure():
    classes = torch.eye(8, dtype=torch.float64).repeat(50, 1) * 40
    whole, _ = inception_score(classes, splits=2)
    assert whole == pytest.approx(8, rel=0.05)  # each half has nearly as many of every class
    assert inception_score(torch.zeros(100, 8, dtype=torch.float64), splits=10) == pytest.approx((1, 0))
    assert inception_score(classes[:1].expand(100, -1), splits=10) == pytest.approx((1, 0))


def test_its_error_is_that_of_the_mean_of_independent_parts():
    """The spread of the score over 200 draws is the standard error that is given on average."""
    torch.manual_seed(0)
    found = [inception_score(torch.randn(200, 5, dtype=torch.float64), splits=10) for _ in range(200)]
    values, errors = torch.tensor(found, dtype=torch.float64).T
    # a standard deviation of 200 draws is known to 1/sqrt(400)
    assert errors.square().mean().sqrt() == pytest.approx(values.std().item(), rel=5 / math.sqrt(400))


class Greys(Sampler):
    """Even pictures of random brightness: unlike noise, they differ to a network of random weights."""

    def sample(self, n, y=None):
        return torch.randint(256, (n, 1, 1, 1)).expand(n, 1, 16, 16) / 255


class Noise(Sampler):
    def sample(self, n, y=None):
        return torch.randint(256, (n, 1, 16, 16)) / 255


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights in torch-fidelity's format."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    class Blank(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, *_args):
            """Keep what the constructors made."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_args, **_kwargs: {})
        blank = Blank("blank", ["logits_unbiased"])
    torch.manual_seed(0)
    for layer in blank.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    nn.init.normal_(blank.fc.weight)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(blank.state_dict(), path)
    return path


@pytest.mark.slow
def test_it_is_torch_fidelity_s(make_subject, weights):
    import torch_fidelity

    from genbench.metrics.features import samples

    x = torch.zeros(10, 1, 16, 16, dtype=torch.uint8).numpy()
    dataset = Dataset("black", DataSpec((1, 16, 16), "discrete", 256), Split(x), Split(x), Split(x), family="black")
    subject = make_subject(Greys(), dataset)
    metric = InceptionScore(InceptionScore.Config(weights=weights, splits=2))
    (found,) = metric.measure(subject)

    class Images(torch.utils.data.Dataset):
        x = samples(subject, 10).mul(255).round().to(torch.uint8).expand(-1, 3, -1, -1)

        def __len__(self):
            return len(self.x)

        def __getitem__(self, index):
            return self.x[index]

    want = torch_fidelity.calculate_metrics(
        input1=Images(),
        isc=True,
        isc_splits=2,
        feature_extractor_weights_path=str(weights),
        batch_size=10,
        rng_seed=0,
        cache=False,
        cuda=False,
        save_cpu_ram=True,
        verbose=False,
    )
    assert found.value == pytest.approx(want["inception_score_mean"], rel=1e-4)
    assert found.stderr == pytest.approx(want["inception_score_std"], rel=1e-2, abs=1e-6)
    assert found.value > 1.001
    assert (found.name, found.better, found.settings["n"], found.settings["splits"]) == (
        "inception_score",
        "higher",
        10,
        2,
    )
    assert metric.protocol(dataset)["extractor_sha256"] == found.settings["extractor_sha256"]


def test_what_are_no_images_is_not_applicable_and_needs_no_weights(make_subject, continuous_dataset):
    metric = InceptionScore(InceptionScore.Config())
    with pytest.raises(NotApplicable, match=r"images of 1 or 3 channels, not \(4,\)"):
        metric.measure(make_subject(Noise(), continuous_dataset))
    assert metric.protocol(continuous_dataset)["extractor"] is None

import hashlib
import itertools
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

import genbench.metrics.extractors
from genbench.data import Dataset, DataSpec, Split, ViewOptions, apply_view, cache_folder
from genbench.data.device import DeviceSplit
from genbench.errors import GenbenchError, UsageError
from genbench.metrics import NotApplicable
from genbench.metrics.extractors import EXTRACTORS, extractor_for, load_extractor
from genbench.metrics.extractors.fast_inception import resize
from genbench.metrics.extractors.network import FEATURES, FeatureNetwork
from genbench.metrics.extractors.train import BATCH, binarize_some, distort, train
from genbench_datasets.digits import Digits
from genbench_datasets.mnist import MNIST

CPU = torch.device("cpu")
FOLDER = Path(genbench.metrics.extractors.__file__).parent
SHIPPED = {"digits": (1, 8, 8), "mnist": (1, 28, 28)}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return Digits(Digits.Config(), Path("unused")).load()


def pictures(dataset: Dataset, name: str) -> Tensor:
    return DeviceSplit(dataset, name, CPU).x()


def distance(a: Tensor, b: Tensor) -> float:
    """The Fréchet distance of two sets of features."""
    values, vectors = torch.linalg.eigh(torch.cov(a.T))
    root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ torch.cov(b.T) @ root).clamp(min=0).sqrt().sum()
    spread = torch.trace(torch.cov(a.T)) + torch.trace(torch.cov(b.T)) - 2 * cross
    return ((a.mean(0) - b.mean(0)).square().sum() + spread).item()


def dataset_of(shape: tuple[int, ...], family: str) -> Dataset:
    if len(shape) == 1:
        split, spec = Split(np.zeros((1, *shape), np.float32)), DataSpec(shape, "continuous")
    else:
        split, spec = Split(np.zeros((1, *shape), np.uint8)), DataSpec(shape, "discrete", levels=256)
    return Dataset(family, spec, split, split, split, family=family)


@pytest.mark.parametrize(
    ("shape", "family", "name"),
    [
        ((1, 8, 8), "digits", "digits"),
        ((1, 28, 28), "mnist", "mnist"),
        ((1, 28, 28), "fashion-mnist", "mnist"),
        ((2,), "toy2d", "identity"),
        ((64,), "embeddings", "identity"),
        ((65,), "embeddings", None),
        ((1, 8, 8), "folder", "digits"),
        ((1, 28, 28), "folder", "mnist"),
        ((3, 28, 28), "folder", None),
        ((3, 32, 32), "cifar10", None),
    ],
)
def test_the_default_extractor_of_a_dataset(shape: tuple[int, ...], family: str, name: str | None) -> None:
    assert extractor_for(dataset_of(shape, family)) == name


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_small_and_hashed(name: str) -> None:
    content = (FOLDER / f"{name}.safetensors").read_bytes()
    assert len(content) < {"digits": 300_000, "mnist": 1_000_000}[name]
    extractor = load_extractor(name, CPU)
    assert extractor.sha256 == hashlib.sha256(content).hexdigest()[:16]
    # new weights make every older fidelity number incomparable: they are a release's news, never an accident
    assert extractor.sha256 == {"digits": "1667ae02ec518b73", "mnist": "d995bc27ee174b61"}[name]


@pytest.mark.parametrize("name", SHIPPED)
def test_features_are_float64_and_do_not_depend_on_company_or_autocast(name: str) -> None:
    extractor = load_extractor(name, CPU)
    x = torch.rand(1007, *SHIPPED[name], generator=torch.Generator().manual_seed(0))
    features = extractor(x)
    assert features.shape == (1007, extractor.dims) == (1007, FEATURES)
    assert features.dtype == torch.float64
    assert not features.requires_grad
    assert torch.allclose(extractor(x[1001:1003]), features[1001:1003], rtol=0, atol=1e-12)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(extractor(x), features)


@pytest.mark.parametrize("name", SHIPPED)
def test_pictures_of_another_shape_are_not_applicable(name: str) -> None:
    with pytest.raises(NotApplicable, match=r"takes images of \(1, (8, 8|28, 28)\), not \(3, 32, 32\)"):
        load_extractor(name, CPU)(torch.zeros(2, 3, 32, 32))


def accuracy(name: str, dataset: Dataset) -> float:
    extractor = load_extractor(name, CPU)
    predicted = extractor.network.classify(extractor(pictures(dataset, "test"))).argmax(1).numpy()
    return (predicted == dataset.test.y).mean()


def check_smooth(features: Tensor) -> None:
    """No feature is constant, rectified or redundant, and each is of about unit size."""
    assert torch.linalg.eigvalsh(torch.cov(features.T)).min() > 1e-5
    assert features.std(0).min() > 0.5
    assert features.std(0).max() < 1.5
    assert features.unique().numel() > 0.99 * features.numel()


def test_digits_features_know_the_class_and_span_all_dimensions(digits: Dataset) -> None:
    assert accuracy("digits", digits) > 0.97
    assert accuracy("digits", apply_view(digits, ViewOptions(binarize="threshold"))) > 0.95
    assert accuracy("digits", apply_view(digits, ViewOptions(binarize="static"))) > 0.88
    check_smooth(load_extractor("digits", CPU)(pictures(digits, "test")))


@pytest.mark.mnist
def test_mnist_features_know_the_class_and_span_all_dimensions() -> None:
    mnist = MNIST(MNIST.Config(), cache_folder()).load()
    assert accuracy("mnist", mnist) > 0.985
    assert accuracy("mnist", apply_view(mnist, ViewOptions(binarize="static"))) > 0.98
    check_smooth(load_extractor("mnist", CPU)(pictures(mnist, "test")[:1000]))


def test_distances_grow_with_the_damage(digits: Dataset) -> None:
    extractor = load_extractor("digits", CPU)
    x, y = pictures(digits, "train"), torch.from_numpy(digits.train.y)
    reference = extractor(pictures(digits, "test"))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    blurred = nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    for damaged in (
        [(x + scale * noise).clamp(0, 1) for scale in (0, 0.1, 0.2, 0.4)],
        [x + weight * (blurred - x) for weight in (0, 0.3, 0.6, 1)],
        [x[y >= left_out] for left_out in (0, 1, 3, 6)],
    ):
        distances = [distance(extractor(pictures), reference) for pictures in damaged]
        assert all(b > 1.2 * a for a, b in itertools.pairwise(distances)), distances


def test_raw_coordinates_are_their_own_features() -> None:
    extractor = load_extractor("identity", CPU)
    x = torch.tensor([[1.5, -2.0]])
    assert torch.equal(extractor(x), x.double())
    assert extractor(x).dtype == torch.float64
    assert extractor.sha256 is None
    for shape in ((1, 65), (1, 1, 8, 8)):
        with pytest.raises(NotApplicable, match="identity takes vectors of up to 64 numbers"):
            extractor(torch.zeros(shape))


def test_an_unknown_extractor_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown feature extractor 'inceptoin': did you mean inception"):
        load_extractor("inceptoin", CPU)


@pytest.mark.parametrize("name", [name for name in EXTRACTORS if name != "inception"])
def test_only_inception_takes_weights(name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name} takes no weights=mine\.pth"):
        load_extractor(name, CPU, Path("mine.pth"))


def test_training_is_reproducible_and_sees_the_training_split_only(digits: Dataset) -> None:
    other = Dataset("other", digits.spec, digits.train, digits.test, digits.validation, family="digits")
    with torch.enable_grad():
        weights = [save(train("digits", dataset, 5).state_dict()) for dataset in (digits, other)]
    assert weights[0] == weights[1]
    assert weights[0] != save(FeatureNetwork("digits").state_dict())


def test_training_pictures_are_half_grey_and_half_binary() -> None:
    torch.manual_seed(0)
    x = torch.rand(4000, 1, 8, 8)
    shown = binarize_some(x)
    grey = (shown == x).flatten(1).all(1)
    binary = ((shown == 0) | (shown == 1)).flatten(1).all(1)
    thresholded = (shown == (x > 0.5)).flatten(1).all(1)
    assert (grey ^ binary).all()
    assert abs(grey.double().mean() - 1 / 2) < 5 * (1 / 4 / 4000) ** 0.5
    assert abs(thresholded.double().mean() - 1 / 4) < 5 * (3 / 16 / 4000) ** 0.5


def test_training_pictures_are_moved_but_little() -> None:
    torch.manual_seed(0)
    x = torch.zeros(BATCH, 1, 28, 28)
    x[:, :, 12:16, 12:16] = 1
    moved = distort(x)
    rows = torch.arange(28.0)
    weight = moved.sum((1, 2, 3))
    centre = (moved.sum((1, 3)) * rows).sum(1) / weight
    assert len(moved.flatten(1).unique(dim=0)) == BATCH
    assert (centre - 13.5).abs().max() < 2.5
    assert (weight / 16).min() > 0.6
    assert (weight / 16).max() < 1.5


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network and an empty torch cache, whose checkpoint folder is returned."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise urllib.error.URLError("the network is down")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_inceptions_weights_that_can_not_be_fetched(no_network: Path) -> None:
    with pytest.raises(GenbenchError) as caught:
        load_extractor("inception", CPU)
    message = str(caught.value)
    assert "the network is down" in message
    assert "https://github.com/toshas/torch-fidelity/releases" in message
    assert str(no_network / "weights-inception-2015-12-05-6726825d.pth") in message
    assert "weights=" in message
    assert "\n" not in message


def test_a_foreign_file_under_the_published_name_is_refused(no_network: Path) -> None:
    no_network.mkdir(parents=True)
    path = no_network / "weights-inception-2015-12-05-6726825d.pth"
    torch.save({}, path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    with pytest.raises(GenbenchError, match=rf"{path} is damaged: .* {found}, expected 6726825d0af5f729; delete it"):
        load_extractor("inception", CPU)


class Code:
    def __reduce__(self) -> tuple:
        return (pytest.fail, ("the file was unpickled",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "not a file of tensors"),
        (b"text", "not a file of tensors"),
        ({"code": Code()}, "not a file of tensors"),
        ({"conv": torch.zeros(2)}, "the network has other tensors"),
    ],
)
def test_a_file_without_inceptions_weights_is_bad_usage(tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / "mine.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UsageError, match=rf"weights={path} holds no InceptionV3 weights .*{reason}") as caught:
        load_extractor("inception", CPU, path)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """A file of made-up weights in torch-fidelity's format, and its own extractor of them."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    class Blank(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, *_args: object) -> None:
            """Keep what the constructors made."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_args, **_kwargs: {})
        blank = Blank("blank", ["2048"])
    torch.manual_seed(0)
    for layer in blank.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
            nn.init.normal_(layer.running_mean, std=0.5)
            nn.init.uniform_(layer.running_var, 0.3, 2.0)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(blank.state_dict(), path)
    return path, blank


@pytest.mark.slow
def test_inception_sees_eight_bit_rgb(made_up: tuple[Path, nn.Module]) -> None:
    path, _ = made_up
    extractor = load_extractor("inception", CPU, path)
    assert extractor.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    levels = torch.randint(0, 256, (2, 1, 16, 16))
    grey = levels / 255
    features = extractor(grey)
    assert features.shape == (2, extractor.dims) == (2, 2048)
    assert features.dtype == torch.float64
    assert (features[0] - features[1]).abs().max() > 0.01 * features.abs().max()
    assert torch.equal(extractor(grey.repeat(1, 3, 1, 1)), features)
    for shift in (-0.4 / 255, 0.4 / 255):  # rounded, not cut off; and clipped at black and white
        assert torch.equal(extractor(grey + shift), features)
    with pytest.raises(NotApplicable, match="inception takes images of 1 or 3 channels"):
        extractor(torch.zeros(2, 2))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 40, 24), (3, 320, 310)])
def test_inception_s_features_are_torch_fidelity_s(made_up: tuple[Path, nn.Module], shape: tuple[int, ...]) -> None:
    path, theirs = made_up
    levels = torch.randint(0, 256, (2, *shape))
    features = load_extractor("inception", CPU, path)(levels / 255)
    with torch.no_grad():
        (expected,) = theirs(levels.to(torch.uint8).expand(-1, 3, -1, -1))
    scale = expected.abs().amax(1, keepdim=True)
    assert (features - expected).abs().le(1e-4 * expected.abs() + 1e-6 * scale).all()  # in fp32 zero is not quite zero
    assert (features - expected).norm() <= 1e-5 * expected.norm()
    assert (expected > 0.1 * scale).double().mean() > 0.2  # enough features are far from zero


@pytest.mark.parametrize("size", [(1, 7), (28, 28), (40, 24), (299, 299), (512, 300)])
def test_pictures_are_resized_bit_for_bit_as_torch_fidelity_does(size: tuple[int, int]) -> None:
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    x = torch.randint(0, 256, (2, 3, *size)).float()
    assert torch.equal(resize(x), interpolate_bilinear_2d_like_tensorflow1x(x, (299, 299), align_corners=False))

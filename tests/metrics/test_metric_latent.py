import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from genbench.data import Dataset, Split
from genbench.metrics import MetricError, NotApplicable, latent
from genbench.metrics.base import choose
from genbench.metrics.latent import PROBE_GRID, Separation
from genbench.model import Encoder
from genbench.selftest.base import standard_errors

CLASSES = 3
LEVELS = 5
SPLITS = ("train", "validation", "test")


class Function(Encoder):
    def __init__(self, function):
        self.function = function

    def encode(self, x):
        return self.function(x)


FLAT = Function(lambda x: x.flatten(1))


def label(x):
    """The row that is bright throughout is the class."""
    return x[:, 0].amin(2).argmax(1)


def pca_encoder(dataset, dimension):
    x = dataset.train.x.reshape(len(dataset.train), -1) / (LEVELS - 1)
    pca = PCA(dimension).fit(x)
    return Function(lambda x: torch.from_numpy(pca.transform(x.flatten(1).double().numpy())))


def measure(subject, **config):
    return Separation(Separation.Config(**config)).measure(subject)


def with_labels(dataset, **labels):
    """The dataset with these labels for the splits named."""
    splits = {name: getattr(dataset, name) for name in SPLITS}
    splits |= {name: Split(splits[name].x, np.asarray(y)) for name, y in labels.items()}
    return Dataset("rows", dataset.spec, *splits.values(), family="rows")


def with_images(dataset, **images):
    """The dataset with these images for the splits named."""
    splits = {name: getattr(dataset, name) for name in SPLITS}
    splits |= {name: Split(x, splits[name].y) for name, x in images.items()}
    return Dataset("rows", dataset.spec, *splits.values(), family="rows")


def by_hand(subject, weights):
    """The points of each split in the metric's order, their linear codes, standardised overall, and their labels."""
    batches = [split.batch(choose(split)) for split in (subject.train, subject.validation, subject.test)]
    x = [batch.x.flatten(1).double().numpy() for batch in batches]
    codes = [part @ weights.numpy() for part in x]
    mean, scale = codes[0].mean(0), np.sqrt(codes[0].var(0).mean())
    return x, [(part - mean) / scale for part in codes], [batch.y.numpy() for batch in batches]


def best_probe(codes, labels):
    """The probe that is best on validation data, of equal ones the most regularised."""
    probes = [LogisticRegression(C=c, max_iter=2000).fit(codes[0], labels[0]) for c in PROBE_GRID]
    scores = [probe.score(codes[1], labels[1]) for probe in probes]
    return probes[scores.index(max(scores))]


@pytest.mark.parametrize("standardize", ["overall", "dimension"])
@pytest.mark.parametrize("dimension", [1, 2, 5, 9])
def test_pca_is_no_better_than_pca(make_subject, make_dataset, by_name, dimension, standardize):
    dataset = make_dataset()
    got = by_name(measure(make_subject(pca_encoder(dataset, dimension), dataset), standardize=standardize))
    # a tie that rounding decides may move one point
    assert got.knn_vs_pca.value == pytest.approx(0, abs=1.01 / 60)
    assert got.probe_vs_pca.value == pytest.approx(0, abs=1.01 / 60)
    assert got.silhouette_vs_pca.value == pytest.approx(0, abs=1e-5)
    assert got.trustworthiness_vs_pca.value == pytest.approx(0, abs=0.02)
    assert got.continuity_vs_pca.value == pytest.approx(0, abs=0.02)
    assert got.knn_accuracy.settings["pca_dimension"] == dimension


def test_the_scores_are_scikit_learns(make_subject, make_dataset, by_name):
    dataset = make_dataset()
    weights = torch.randn(9, 4, dtype=torch.float64)
    subject = make_subject(Function(lambda x: x.flatten(1).double() @ weights), dataset)
    got = by_name(measure(subject))

    x, z, y = by_hand(subject, weights)
    knn = KNeighborsClassifier(5).fit(z[0], y[0]).score(z[2], y[2])
    probe = best_probe(z, y)
    assert got.knn_accuracy.value == pytest.approx(knn)
    assert got.probe_accuracy.value == pytest.approx(probe.score(z[2], y[2]))
    assert got.probe_accuracy.settings["probe_c"] == probe.C
    assert got.silhouette.value == pytest.approx(silhouette_score(z[2], y[2]), abs=1e-9)
    # equally near data points, of which there are some, are ranked in another order
    assert got.trustworthiness.value == pytest.approx(trustworthiness(x[2], z[2]), abs=0.01)
    assert got.continuity.value == pytest.approx(trustworthiness(z[2], x[2]), abs=0.01)
    # the standard deviation of a bootstrap of 1000 is itself known to 1/sqrt(2000)
    assert got.knn_accuracy.stderr == pytest.approx(np.sqrt(knn * (1 - knn) / 60), rel=5 / np.sqrt(2000))


def test_the_probe_is_regularised_as_suits_the_validation_data(make_subject, make_dataset, by_name):
    chosen = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        clean = make_dataset(sizes=(60, 200, 60), seed=seed)
        wrong = np.where(rng.random(60) < seed / 8, rng.integers(CLASSES, size=60), clean.train.y)
        weights = torch.randn(9, 9, dtype=torch.float64)
        encoder = Function(lambda x, weights=weights: x.flatten(1).double() @ weights)
        subject = make_subject(encoder, with_labels(clean, train=wrong))
        settings = by_name(measure(subject)).probe_accuracy.settings
        _, codes, labels = by_hand(subject, weights)
        assert settings["probe_c"] == best_probe(codes, labels).C
        chosen.add(settings["probe_c"])
    assert len(chosen) > 1


def test_codes_that_are_the_class_separate_it_perfectly(make_subject, make_dataset, by_name):
    dataset = make_dataset()
    one_hot = Function(lambda x: torch.nn.functional.one_hot(label(x), CLASSES))
    got = by_name(measure(make_subject(one_hot, dataset)))
    assert (got.knn_accuracy.value, got.probe_accuracy.value) == (1.0, 1.0)
    assert got.silhouette.value == pytest.approx(1.0)
    assert got.silhouette_vs_pca.value > 0.1
    assert got.knn_vs_pca.value >= 0


def test_codes_that_are_noise_are_at_chance(make_subject, make_dataset, by_name):
    dataset = make_dataset(sizes=(2000, 200, 2000))
    noise = Function(lambda x: torch.randn(len(x), 4))
    got = by_name(measure(make_subject(noise, dataset)))
    for accuracy in (got.knn_accuracy, got.probe_accuracy):
        assert abs(accuracy.value - 1 / CLASSES) < 5 * accuracy.stderr
    assert abs(got.silhouette.value) < 0.02
    for neighbourhood in (got.trustworthiness, got.continuity):
        assert abs(neighbourhood.value - 0.5) < standard_errors(19) * neighbourhood.stderr
    for loss in (got.knn_vs_pca, got.trustworthiness_vs_pca, got.continuity_vs_pca):
        assert loss.value < -4 * loss.stderr


def test_every_number_has_an_interval_around_it(make_subject, make_dataset):
    weights = torch.randn(9, 3)
    dataset = make_dataset(sizes=(200, 20, 400))
    noisy = Function(lambda x: x.flatten(1) @ weights + torch.randn(len(x), 3))  # so that no class is certain
    for got in measure(make_subject(noisy, dataset)):
        low, high = got.interval
        assert low < got.value < high
        assert high - low == pytest.approx(2 * 1.96 * got.stderr, rel=0.25)


def test_the_difference_has_the_paired_standard_error():
    rng = np.random.default_rng(0)
    pcas = rng.random(400) < 0.8
    ours = pcas ^ (rng.random(400) < 0.05)
    accuracy, gain = latent._accuracies("knn", ours, pcas, {})
    assert accuracy.value == ours.mean()
    difference = ours.astype(float) - pcas
    assert gain.value == pytest.approx(difference.mean())
    # the standard deviation of a bootstrap of 1000 is itself known to 1/sqrt(2000)
    assert gain.stderr == pytest.approx(difference.std() / np.sqrt(400), rel=5 / np.sqrt(2000))
    assert gain.stderr < accuracy.stderr


def test_every_name_that_is_emitted_is_announced(make_subject, make_dataset):
    dataset = make_dataset()
    assert [m.name for m in measure(make_subject(pca_encoder(dataset, 2), dataset))] == list(Separation.names)


def test_overall_scaling_keeps_distances_and_scaling_by_dimension_does_not(make_subject, make_dataset, by_name):
    dataset = make_dataset()
    stretch = torch.tensor([1.0] * 8 + [100.0])
    stretched = Function(lambda x: x.flatten(1) * stretch)
    scaled = Function(lambda x: x.flatten(1) * 1000 + 7)

    def silhouette(model, how):
        return by_name(measure(make_subject(model, dataset), standardize=how)).silhouette.value

    assert silhouette(scaled, "overall") == pytest.approx(silhouette(FLAT, "overall"), abs=1e-4)
    assert abs(silhouette(stretched, "overall") - silhouette(FLAT, "overall")) > 0.05
    assert silhouette(stretched, "dimension") == pytest.approx(silhouette(FLAT, "dimension"), abs=1e-4)


@pytest.mark.parametrize("standardize", ["overall", "dimension"])
@pytest.mark.parametrize("size", [1e-9, 0.0])
def test_dimensions_that_do_not_vary_are_not_blown_up(make_subject, make_dataset, by_name, standardize, size):
    dataset = make_dataset()

    def with_dust(x):
        return torch.cat([x.flatten(1).double(), size * torch.randn(len(x), 30)], dim=1)

    def silhouette(function):
        return by_name(measure(make_subject(Function(function), dataset), standardize=standardize)).silhouette.value

    plain = silhouette(lambda x: x.flatten(1).double())
    assert silhouette(with_dust) == pytest.approx(plain, abs=1e-6)


def test_a_code_larger_than_the_data_is_compared_with_all_of_pca(make_subject, by_name):
    got = by_name(measure(make_subject(Function(lambda x: torch.randn(len(x), 20)))))
    assert (got.knn_accuracy.settings["dimension"], got.knn_accuracy.settings["pca_dimension"]) == (20, 9)


@pytest.mark.parametrize("standardize", ["overall", "dimension"])
@pytest.mark.parametrize(
    "code",
    [
        lambda x: torch.zeros(len(x), 3),
        lambda x: torch.full((len(x), 3), 0.1),
        lambda x: 1 + 1e-7 * torch.randn(len(x), 3, dtype=torch.float64),
        lambda x: torch.ones(len(x), 0),
    ],
)
def test_constant_codes_are_refused(make_subject, code, standardize):
    with pytest.raises(NotApplicable, match="the model's codes of training data are all the same"):
        measure(make_subject(Function(code)), standardize=standardize)


def test_codes_that_are_constant_on_test_data_are_refused(make_subject, make_dataset):
    dataset = make_dataset()
    same = with_images(dataset, test=np.repeat(dataset.test.x[:1], 60, axis=0))
    with pytest.raises(NotApplicable, match="the model's codes of test data are all the same"):
        measure(make_subject(FLAT, same))


def test_constant_data_is_refused(make_subject, make_dataset):
    dataset = make_dataset()
    blank = with_images(dataset, **{name: np.ones_like(getattr(dataset, name).x) for name in SPLITS})
    with pytest.raises(NotApplicable, match="all training points are the same"):
        measure(make_subject(Function(lambda x: torch.randn(len(x), 3)), blank))


def test_points_are_limited(make_subject, by_name):
    got = by_name(measure(make_subject(FLAT), n_train=50, n_test=20, n_rank=15))
    settings = got.knn_accuracy.settings
    assert [settings[n] for n in ("n_train", "n_validation", "n_test", "n_rank")] == [50, 20, 20, 15]


def test_a_probe_that_was_stopped_says_so(make_subject, by_name, monkeypatch):
    assert not any(got.flags for got in measure(make_subject(FLAT)))
    monkeypatch.setattr(latent, "PROBE_STEPS", 1)
    got = by_name(measure(make_subject(FLAT)))
    assert got.probe_accuracy.flags == got.probe_vs_pca.flags == ("the linear probe did not converge",)
    assert got.knn_accuracy.flags == ()


@pytest.mark.parametrize("dimension", [1, 2, 6])
def test_the_scatter_plots_are_left_in_the_folder(make_subject, make_dataset, by_name, dimension):
    subject = make_subject(Function(lambda x: x.flatten(1)[:, :dimension]), make_dataset())
    got = by_name(measure(subject))
    with np.load(subject.folder / "codes.npz") as saved:
        assert saved["code_2d"].shape == saved["pca_2d"].shape == (60, 2)
        assert sorted(np.unique(saved["y"])) == [0, 1, 2]
        assert saved["knn_accuracy"] == got.knn_accuracy.value
        for score in ("silhouette", "trustworthiness", "continuity"):
            difference = getattr(got, f"{score}_vs_pca").value
            assert saved[score] - saved[f"pca_{score}"] == pytest.approx(difference)
        assert saved["probe_accuracy"] - saved["pca_probe_accuracy"] == pytest.approx(got.probe_vs_pca.value)
        flat = subject.train.x().flatten(1).double().numpy()
        plane = PCA(2).fit(flat).transform(subject.test.x().flatten(1).double().numpy()[choose(subject.test)])
        assert np.allclose(np.abs(saved["pca_2d"]), np.abs(plane), atol=1e-4)


def test_data_without_labels_is_not_applicable(make_subject, make_dataset):
    with pytest.raises(NotApplicable, match="no class labels"):
        measure(make_subject(FLAT, make_dataset(labelled=False)))


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_class_is_refused(make_subject, make_dataset, split):
    dataset = make_dataset()
    single = with_labels(dataset, **{split: np.zeros(len(getattr(dataset, split)), dtype=np.int64)})
    with pytest.raises(NotApplicable, match="at least two classes"):
        measure(make_subject(FLAT, single))


def test_two_classes_of_which_one_is_a_single_test_point_are_refused(make_subject, make_dataset):
    labels = (np.arange(60) == 7).astype(np.int64)
    with pytest.raises(NotApplicable, match="outside of the largest class"):
        measure(make_subject(FLAT, with_labels(make_dataset(), test=labels)))


def test_fewer_points_than_neighbours_are_refused(make_subject):
    with pytest.raises(NotApplicable, match="needs 51 training points, there are 50"):
        measure(make_subject(FLAT), n_train=50, neighbours=51)
    assert measure(make_subject(FLAT), n_train=50, neighbours=50)
    # with 3 of 60 left out in turn there are 57, and 2k have to be fewer
    with pytest.raises(NotApplicable, match="60 test points are too few to have 29 neighbours"):
        measure(make_subject(FLAT), rank_neighbours=29)
    assert measure(make_subject(FLAT), rank_neighbours=28)


def test_of_a_dozen_test_points_one_at_a_time_is_left_out(make_subject, make_dataset, by_name):
    weights = torch.randn(9, 4, dtype=torch.float64)
    encoder = Function(lambda x: x.flatten(1).double() @ weights)
    subject = make_subject(encoder, make_dataset(sizes=(200, 20, 12)))
    _, codes, labels = by_hand(subject, weights)
    z, y = codes[2], labels[2]
    without = [silhouette_score(np.delete(z, i, 0), np.delete(y, i)) for i in range(12)]
    assert by_name(measure(subject)).silhouette.stderr == pytest.approx(np.std(without) * np.sqrt(11))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x, r"Function\.encode returned shape \(200, 1, 3, 3\), not \(200, any\)"),
        (lambda x: x.flatten(1) * torch.inf, r"Function\.encode returned .*NaN.*inf among"),
        (lambda x: torch.full((len(x), 2), torch.nan), r"Function\.encode returned 400 NaN among 400"),
    ],
)
def test_what_is_no_code_is_named(make_subject, function, message):
    with pytest.raises(MetricError, match=message):
        measure(make_subject(Function(function)))

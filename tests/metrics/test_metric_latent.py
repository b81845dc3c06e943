import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from genbench.metrics import MetricError, NotApplicable, latent
from genbench.metrics.base import choose
from genbench.metrics.latent import Separation
from genbench.model import Encoder

CLASSES = 3
LEVELS = 5


class Function(Encoder):
    def __init__(self, function):
        self.function = function

    def encode(self, x):
        return self.function(x)


def label(x):
    """The row that is bright throughout is the class."""
    return x[:, 0].amin(2).argmax(1)


def pca_encoder(dataset, dimension):
    x = dataset.train.x.reshape(len(dataset.train), -1) / (LEVELS - 1)
    pca = PCA(dimension).fit(x)
    return Function(lambda x: torch.from_numpy(pca.transform(x.flatten(1).double().numpy())))


def measure(subject, **config):
    return Separation(Separation.Config(**config)).measure(subject)


@pytest.mark.parametrize("standardize", ["overall", "dimension"])
@pytest.mark.parametrize("dimension", [1, 2, 5, 9])
def test_pca_is_no_better_than_pca(make_subject, make_dataset, by_name, dimension, standardize):
    dataset = make_dataset()
    got = by_name(measure(make_subject(pca_encoder(dataset, dimension), dataset), standardize=standardize))
    # a tie that rounding decides may move one point
    assert got.knn_vs_pca.value == pytest.approx(0, abs=1.01 / 60)
    assert got.probe_vs_pca.value == pytest.approx(0, abs=1.01 / 60)
    assert got.silhouette_vs_pca.value == pytest.approx(0, abs=1e-5)
    assert got.knn_accuracy.settings["pca_dimension"] == dimension


def test_the_scores_are_scikit_learns(make_subject, make_dataset, by_name):
    dataset = make_dataset()
    weights = torch.randn(9, 4, dtype=torch.float64)
    subject = make_subject(Function(lambda x: x.flatten(1).double() @ weights), dataset)
    got = by_name(measure(subject))

    train, test = (choose(split).numpy() for split in (subject.train, subject.test))
    z_train = dataset.train.x[train].reshape(-1, 9) / (LEVELS - 1) @ weights.numpy()
    z_test = dataset.test.x[test].reshape(-1, 9) / (LEVELS - 1) @ weights.numpy()
    y_train, y_test = dataset.train.y[train], dataset.test.y[test]
    scale = np.sqrt(z_train.var(0).mean())
    z_train, z_test = (z_train - z_train.mean(0)) / scale, (z_test - z_train.mean(0)) / scale
    knn = KNeighborsClassifier(5).fit(z_train, y_train).score(z_test, y_test)
    probe = LogisticRegression(max_iter=2000).fit(z_train, y_train).score(z_test, y_test)
    assert got.knn_accuracy.value == pytest.approx(knn)
    assert got.probe_accuracy.value == pytest.approx(probe)
    assert got.silhouette.value == pytest.approx(silhouette_score(z_test, y_test), abs=1e-6)
    assert got.knn_accuracy.stderr == pytest.approx(np.sqrt(knn * (1 - knn) / 60))


def test_codes_that_are_the_class_separate_it_perfectly(make_subject, make_dataset, by_name):
    dataset = make_dataset()
    one_hot = Function(lambda x: torch.nn.functional.one_hot(label(x), CLASSES))
    got = by_name(measure(make_subject(one_hot, dataset)))
    assert (got.knn_accuracy.value, got.probe_accuracy.value) == (1.0, 1.0)
    assert got.silhouette.value == pytest.approx(1.0)
    assert got.silhouette_vs_pca.value > 0.1
    assert got.knn_vs_pca.value >= 0


def test_codes_that_are_noise_are_at_chance(make_subject, make_dataset, by_name):
    dataset = make_dataset(sizes=(2000, 10, 2000))
    noise = Function(lambda x: torch.randn(len(x), 4))
    got = by_name(measure(make_subject(noise, dataset)))
    for accuracy in (got.knn_accuracy, got.probe_accuracy):
        assert abs(accuracy.value - 1 / CLASSES) < 4 * accuracy.stderr
    assert abs(got.silhouette.value) < 0.02
    assert got.knn_vs_pca.value < -4 * got.knn_vs_pca.stderr


def test_the_difference_has_the_paired_standard_error():
    ours = np.array([1, 1, 1, 0, 1, 0], dtype=bool)
    pcas = np.array([1, 0, 1, 0, 1, 1], dtype=bool)
    accuracy, gain = latent._accuracies("knn", ours, pcas, {})
    assert (accuracy.value, gain.value) == (pytest.approx(4 / 6), 0.0)
    assert gain.stderr == pytest.approx(np.std([0, 1, 0, 0, 0, -1], ddof=1) / np.sqrt(6))


def test_every_name_that_is_emitted_is_announced(make_subject, make_dataset):
    dataset = make_dataset()
    assert [m.name for m in measure(make_subject(pca_encoder(dataset, 2), dataset))] == list(Separation.names)


def test_overall_scaling_keeps_distances_and_scaling_by_dimension_does_not(make_subject, make_dataset, by_name):
    dataset = make_dataset()
    stretch = torch.tensor([1.0] * 8 + [100.0])
    plain = Function(lambda x: x.flatten(1))
    stretched = Function(lambda x: x.flatten(1) * stretch)
    scaled = Function(lambda x: x.flatten(1) * 1000 + 7)

    def silhouette(model, how):
        return by_name(measure(make_subject(model, dataset), standardize=how)).silhouette.value

    assert silhouette(scaled, "overall") == pytest.approx(silhouette(plain, "overall"), abs=1e-4)
    assert abs(silhouette(stretched, "overall") - silhouette(plain, "overall")) > 0.05
    assert silhouette(stretched, "dimension") == pytest.approx(silhouette(plain, "dimension"), abs=1e-4)


@pytest.mark.parametrize("standardize", ["overall", "dimension"])
def test_dimensions_that_only_round_are_not_blown_up(make_subject, make_dataset, by_name, standardize):
    dataset = make_dataset()

    def with_dust(x):
        return torch.cat([x.flatten(1).double(), 1e-9 * torch.randn(len(x), 30)], dim=1)

    def silhouette(function):
        return by_name(measure(make_subject(Function(function), dataset), standardize=standardize)).silhouette.value

    plain = silhouette(lambda x: x.flatten(1).double())
    assert silhouette(with_dust) == pytest.approx(plain, abs=1e-6)


def test_a_code_larger_than_the_data_is_compared_with_all_of_pca(make_subject, by_name):
    got = by_name(measure(make_subject(Function(lambda x: torch.randn(len(x), 20)))))
    assert (got.knn_accuracy.settings["dimension"], got.knn_accuracy.settings["pca_dimension"]) == (20, 9)


def test_a_constant_code_is_measured_not_fatal(make_subject, by_name):
    got = by_name(measure(make_subject(Function(lambda x: torch.ones(len(x), 3)))))
    assert got.silhouette.value == 0
    assert got.knn_accuracy.value < 0.6


def test_points_are_limited(make_subject, by_name):
    got = by_name(measure(make_subject(Function(lambda x: x.flatten(1))), n_train=50, n_test=20))
    settings = got.knn_accuracy.settings
    assert (settings["n_train"], settings["n_test"], settings["probe_converged"]) == (50, 20, True)


def test_a_probe_that_was_stopped_says_so(make_subject, by_name, monkeypatch):
    monkeypatch.setattr(latent, "PROBE_STEPS", 1)
    got = by_name(measure(make_subject(Function(lambda x: x.flatten(1)))))
    assert got.probe_accuracy.settings["probe_converged"] is False


@pytest.mark.parametrize("dimension", [1, 2, 6])
def test_the_scatter_plots_are_left_in_the_folder(make_subject, make_dataset, by_name, dimension):
    subject = make_subject(Function(lambda x: x.flatten(1)[:, :dimension]), make_dataset())
    got = by_name(measure(subject))
    with np.load(subject.folder / "codes.npz") as saved:
        assert saved["code_2d"].shape == saved["pca_2d"].shape == (60, 2)
        assert sorted(np.unique(saved["y"])) == [0, 1, 2]
        assert saved["knn_accuracy"] == got.knn_accuracy.value
        assert saved["silhouette"] - saved["pca_silhouette"] == pytest.approx(got.silhouette_vs_pca.value)
        assert saved["probe_accuracy"] - saved["pca_probe_accuracy"] == pytest.approx(got.probe_vs_pca.value)
        flat = subject.train.x().flatten(1).double().numpy()
        plane = PCA(2).fit(flat).transform(subject.test.x().flatten(1).double().numpy()[choose(subject.test)])
        assert np.allclose(np.abs(saved["pca_2d"]), np.abs(plane), atol=1e-4)


def test_data_without_labels_is_not_applicable(make_subject, make_dataset):
    with pytest.raises(NotApplicable, match="no class labels"):
        measure(make_subject(Function(lambda x: x.flatten(1)), make_dataset(labelled=False)))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x, r"Function\.encode returned shape \(200, 1, 3, 3\), not \(200, any\)"),
        (lambda x: x.flatten(1) * torch.inf, r"Function\.encode returned .*NaN.*inf among"),
    ],
)
def test_what_is_no_code_is_named(make_subject, function, message):
    with pytest.raises(MetricError, match=message):
        measure(make_subject(Function(function)))

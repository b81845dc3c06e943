"""Separation of codes whose relation to PCA is known."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.manifold import trustworthiness
from torch import nn

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.metrics import Subject
from genbench.metrics.latent import Separation
from genbench.model import Batch, Encoder
from genbench_ae.ae import AE

DIMS = 8
CLASSES = 4
LATENT = 3


class Affine(Encoder):
    """z = (x - mean)W, in float64."""

    def __init__(self, mean, weight):
        self.mean, self.weight = mean, weight

    def encode(self, x):
        return torch.from_numpy((x.double().numpy() - self.mean) @ self.weight)


@pytest.fixture(scope="module")
def dataset():
    """Overlapping Gaussians in 8 dimensions; the variances of the principal components are far apart."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, DIMS))
    rotation = np.linalg.qr(rng.normal(size=(DIMS, DIMS)))[0]

    def split(n):
        y = rng.integers(CLASSES, size=n)
        x = (centres[y] + rng.normal(size=(n, DIMS))) * 1.6 ** -np.arange(DIMS) @ rotation + 1
        return Split(x.astype(np.float32), y)

    return Dataset(
        "blobs", DataSpec((DIMS,), "continuous", num_classes=CLASSES), split(300), split(100), split(150), family="b"
    )


@pytest.fixture(scope="module")
def pca(dataset):
    """The mean and the leading axes `(8, 3)`, from the eigenvectors of the covariance."""
    x = dataset.train.x.astype(np.float64)
    return x.mean(0), np.linalg.eigh(np.cov(x.T))[1][:, ::-1][:, :LATENT].copy()


@pytest.fixture
def measure(dataset, tmp_path):
    """The measurements of an encoder, by name."""

    def run(model, **config):
        device = torch.device("cpu")
        splits = {name: DeviceSplit(dataset, name, device) for name in ("train", "validation", "test")}
        subject = Subject(model, dataset.spec, dataset, **splits, device=device, seed=0, folder=tmp_path)
        return {m.name: m for m in Separation(Separation.Config(**config)).measure(subject)}

    return run


def rotation():
    return np.linalg.qr(np.random.default_rng(1).normal(size=(LATENT, LATENT)))[0]


@pytest.mark.parametrize(
    ("change", "standardize"),
    [
        (np.eye(LATENT), "overall"),
        (rotation(), "overall"),
        (-1000 * rotation(), "overall"),
        (np.diag([1e-3, -1.0, 50.0]), "dimension"),
    ],
    ids=["itself", "rotated", "rotated and scaled", "each axis scaled"],
)
def test_what_standardising_leaves_alone_is_no_different_from_pca(measure, pca, change, standardize):
    mean, axes = pca
    weight = axes @ change
    assert subspace_angles(weight, axes).max() < 1e-7
    got = measure(Affine(mean - 5, weight), standardize=standardize)
    for name in ("knn", "probe"):
        difference = got[f"{name}_vs_pca"]
        assert (difference.value, difference.stderr, difference.interval) == (0.0, 0.0, (0.0, 0.0))
    for name in ("silhouette", "trustworthiness", "continuity"):
        difference = got[f"{name}_vs_pca"]
        assert np.abs([difference.value, difference.stderr, *difference.interval]).max() < 1e-12
        assert got[name].stderr > 0


def test_the_same_subspace_in_other_proportions_is_not_the_same_code(measure, pca):
    """Principal angles of 0 do not make distances equal: whitening moves the silhouette."""
    mean, axes = pca
    weight = axes @ np.diag([1.0, 1.0, 20.0])
    assert subspace_angles(weight, axes).max() < 1e-7
    difference = measure(Affine(mean, weight))["silhouette_vs_pca"]
    assert difference.value < -0.05
    assert difference.interval[1] < 0


@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e6])
def test_the_scale_and_the_origin_of_codes_do_not_matter(measure, pca, factor):
    mean = pca[0]
    weight = np.random.default_rng(2).normal(size=(DIMS, LATENT))
    plain, scaled = measure(Affine(mean, weight)), measure(Affine(mean + 2, factor * weight))
    for name, measurement in plain.items():
        assert scaled[name].value == pytest.approx(measurement.value, abs=1e-9)
        assert scaled[name].stderr == pytest.approx(measurement.stderr, abs=1e-9)


def test_trustworthiness_and_continuity_are_scikit_learns_and_not_each_other(measure, dataset, pca):
    """Dropping dimensions makes neighbours of points that are none, and parts fewer that are."""
    mean, axes = pca
    x = dataset.test.x.astype(np.float64)
    codes = (x - mean) @ axes[:, :1]
    got = measure(Affine(mean, axes[:, :1]))
    assert got["trustworthiness"].value == pytest.approx(trustworthiness(x, codes), abs=1e-12)
    assert got["continuity"].value == pytest.approx(trustworthiness(codes, x), abs=1e-12)
    assert got["continuity"].value > got["trustworthiness"].value + 0.05


def test_a_linear_autoencoder_comes_to_separate_as_pca_does(measure, dataset, pca):
    """Its encoder's and decoder's angles to PCA go to 0, and its codes, in an orthonormal basis of what it can
    reconstruct, score as PCA's."""
    torch.manual_seed(0)
    model = AE(dataset.spec, AE.Config(latent_dim=LATENT, network="mlp")).double()
    model.encoder, model.decoder = nn.Linear(DIMS, LATENT).double(), nn.Linear(LATENT, DIMS).double()
    x = torch.from_numpy(dataset.train.x).double()
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=20, line_search_fn="strong_wolfe", tolerance_change=0)

    def closure():
        optimiser.zero_grad()
        # large: torch's L-BFGS learns nothing from steps whose product with the change of the gradient is below 1e-10
        loss = 1e6 * model.loss(Batch(x), 0.0)["loss"]
        loss.backward()
        return loss

    def angle():
        weights = model.encoder.weight.T, model.decoder.weight
        return max(subspace_angles(weight.detach().numpy(), pca[1]).max() for weight in weights)

    angles = [angle()]
    for _ in range(3):
        for _ in range(10):
            optimiser.step(closure)
        angles.append(angle())
    assert angles[0] > 0.5
    assert angles[1] < 0.1 * angles[0]
    assert angles[-1] < 1e-5

    basis_change = np.linalg.qr(model.decoder.weight.detach().numpy())[1]
    got = measure(Affine(0.0, model.encoder.weight.detach().numpy().T @ basis_change.T))
    assert got["knn_vs_pca"].value == pytest.approx(0, abs=1.01 / 150)
    assert got["probe_vs_pca"].value == pytest.approx(0, abs=1.01 / 150)
    for name in ("silhouette", "trustworthiness", "continuity"):
        assert got[f"{name}_vs_pca"].value == pytest.approx(0, abs=1e-4)

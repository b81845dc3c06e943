import math
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Options, Split
from genbench.data.device import DeviceSplit
from genbench.metrics import MetricError
from genbench.metrics.base import choose
from genbench.metrics.reconstruction import Reconstruction
from genbench.model import Reconstructor
from genbench_ae.ae import AE
from genbench_ae.ksparse_ae import KSparseAE
from genbench_ae.pca import PCA
from genbench_datasets.digits import Digits
from genbench_vae.vae import VAE


class Function(Reconstructor):
    def __init__(self, function):
        self.function = function

    def reconstruct(self, x):
        return self.function(x)


def measure(subject, **config):
    (measurement,) = Reconstruction(Reconstruction.Config(**config)).measure(subject)
    return measurement


def test_the_error_is_the_mean_square_over_points_and_dimensions(make_subject):
    subject = make_subject(Function(lambda x: x * 0.5))
    got = measure(subject)
    errors = (0.5 * subject.test.x().double()).square().flatten(1).mean(1)
    assert (got.name, got.kind, got.better) == ("reconstruction_mse", "exact", "lower")
    assert got.value == pytest.approx(errors.mean().item())
    assert got.stderr == pytest.approx(errors.std().item() / math.sqrt(60))
    assert got.settings["n"] == 60
    assert got.flags == ()


def test_a_perfect_reconstruction_has_no_error(make_subject):
    got = measure(make_subject(Function(lambda x: x)), n=10)
    assert (got.value, got.stderr, got.settings["n"]) == (0.0, 0.0, 10)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.flatten(1), r"Function\.reconstruct returned shape \(60, 9\), not \(60, 1, 3, 3\)"),
        (lambda x: x * torch.nan, r"Function\.reconstruct returned 540 NaN among 540 numbers"),
    ],
)
def test_what_is_no_reconstruction_is_named(make_subject, function, message):
    with pytest.raises(MetricError, match=message):
        measure(make_subject(Function(function)))


IDENTITY = "reconstructs noise as well: it has learnt the identity"


def correlated(dims=64, rank=8, n=1500, seed=0):
    """Real vectors with dimensions of equal variance, of which a few directions explain nearly all."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, dims)) + 0.1 * rng.normal(size=(n, dims))
    x = (x / x.std(0) + 3.0).astype(np.float32)
    splits = [Split(x[:500]), Split(x[500:600]), Split(x[600:])]
    return Dataset("correlated", DataSpec((dims,), "continuous"), *splits, family="correlated")


def projection(x, directions):
    """Onto the mean and the leading principal directions, by an independent route."""
    mean = x.mean(0)
    basis = np.linalg.svd(x - mean, full_matrices=False)[2][:directions]
    mean, basis = torch.tensor(mean), torch.tensor(basis)
    return Function(lambda points: mean + (points - mean) @ basis.T @ basis)


@pytest.mark.parametrize("directions", [16, 56])
def test_a_projection_loses_the_share_of_noise_that_it_has_no_room_for(make_subject, directions):
    dataset = correlated()
    got = measure(make_subject(projection(dataset.train.x, directions), dataset))
    lost = got.settings["noise_lost"]
    # of 900 points with 64 dimensions; the share varies by less than a tenth of itself
    assert lost == pytest.approx((64 - directions) / 64, rel=0.1)
    variance = dataset.test.x.var(0).mean()
    assert got.settings["noise_mse"] == pytest.approx(lost * variance, rel=1e-5)
    assert got.value < 0.02
    assert got.flags == ()


@pytest.mark.parametrize(
    ("function", "lost", "flags"),
    [
        (lambda x: x, 0.0, (IDENTITY,)),
        (lambda x: 0.8 * x + 0.2 * 3, 0.04, (IDENTITY,)),
        (lambda x: 0.7 * x + 0.3 * 3, 0.09, ()),
        (lambda x: torch.full_like(x, 3.0), 1.0, ()),
        (lambda x: x.roll(1, 1), 2.0, ()),
    ],
)
def test_what_is_the_identity_and_what_is_not(make_subject, function, lost, flags):
    got = measure(make_subject(Function(function), correlated()))
    assert got.settings["noise_lost"] == pytest.approx(lost, rel=0.05, abs=1e-12)
    assert got.flags == flags


def test_noise_is_of_the_datas_kind_and_has_its_marginals(make_subject):
    seen = []

    def watch(x):
        seen.append(x.clone())
        return x

    subject = make_subject(Function(watch))
    measure(subject)
    x, noise = seen
    assert torch.equal(x, subject.test.batch(choose(subject.test)).x)
    assert torch.equal(noise.flatten(1).sort(0).values, x.flatten(1).sort(0).values)
    # what is certain of the data, one bright row, is not of the noise
    assert bool(((x[:, 0].amax(2) >= 0.5).sum(1) == 1).all())
    assert not bool(((noise[:, 0].amax(2) >= 0.5).sum(1) == 1).all())
    seen.clear()
    torch.manual_seed(99)
    measure(subject)
    assert torch.equal(seen[1], noise)


def test_data_that_does_not_vary_has_no_noise(make_subject):
    dataset = correlated()
    for split in (dataset.train, dataset.validation, dataset.test):
        split.x[:] = 1.0
    got = measure(make_subject(Function(lambda x: x), dataset))
    assert (got.settings, got.flags) == ({"n": 900}, ())


@pytest.fixture(scope="module")
def trained():
    """Digits, and a model trained on them for so many steps."""
    dataset = Digits(Options(), Path()).load()
    split = DeviceSplit(dataset, "train", torch.device("cpu"))

    def train(cls, steps, **options):
        torch.manual_seed(0)
        with torch.enable_grad():
            model = cls(dataset.spec, cls.Config(**options))
            batches = split.shuffled(model.batch_size, torch.Generator().manual_seed(0))
            model.setup(next(batches))
            for step in range(steps):
                model.update(next(batches), step / steps)
        return dataset, model.eval()

    return train


@pytest.mark.parametrize(
    ("cls", "steps", "options", "flags"),
    [
        (PCA, 1, {"latent_dim": 16}, ()),
        (PCA, 1, {"latent_dim": 63}, (IDENTITY,)),
        (AE, 500, {"network": "mlp", "nodes": "1", "layers": 0, "latent_dim": 128, "learning_rate": 0.01}, (IDENTITY,)),
        (AE, 200, {"network": "mlp", "latent_dim": 16}, ()),
        (KSparseAE, 300, {"latent_dim": 128, "k": 16}, ()),
        (VAE, 100, {"network": "mlp", "hidden": 128}, ()),
    ],
)
def test_trained_models_that_are_the_identity_and_those_that_are_not(make_subject, trained, cls, steps, options, flags):
    dataset, model = trained(cls, steps, **options)
    got = measure(make_subject(model, dataset))
    assert got.flags == flags
    assert got.value < 0.08  # all have learnt something: the variance is 0.075
    if not flags:
        assert got.settings["noise_lost"] > 0.2

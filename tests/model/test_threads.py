"""Fits of numpy, scipy and scikit-learn use one thread, however many there are."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from threadpoolctl import threadpool_info, threadpool_limits

from genbench.data import Dataset, DataSpec, Split, ViewOptions, apply_view
from genbench.metrics.anomaly import Anomaly
from genbench.metrics.disentanglement import Disentanglement
from genbench.metrics.latent import Separation
from genbench.model import Encoder, one_thread
from genbench.runner.subject import make_subject
from genbench_ae.density import CodeDensity, DensityConfig

#: What fits and asks, by whatever uses it.
COSTLY = {
    Separation: ((PCA, "fit"), (LogisticRegression, "fit"), (KNeighborsClassifier, "predict")),
    Disentanglement: ((ExtraTreesRegressor, "fit"), (ExtraTreesRegressor, "predict")),
    Anomaly: ((NearestNeighbors, "fit"), (NearestNeighbors, "kneighbors")),
    CodeDensity: ((GaussianMixture, "fit"),),
}


class Flat(Encoder):
    def encode(self, x):
        return x.flatten(1)


@pytest.fixture
def two_threads():
    with threadpool_limits(2):
        if threads() != 2:
            pytest.skip("numpy and scikit-learn have no threads to bound here")
        yield


@pytest.fixture
def subject(tmp_path):
    rng = np.random.default_rng(0)

    def split(n):
        factors = rng.integers(3, size=(n, 2))
        x = np.concatenate([factors, rng.normal(size=(n, 20))], axis=1).astype(np.float32)
        return Split(x, factors[:, 0], factors=factors)

    names = {"family": "known", "factor_names": ("kind", "size"), "categorical_factors": ("kind",)}
    dataset = Dataset("known", DataSpec((22,), "continuous", None, 3), split(1000), split(100), split(300), **names)
    made = make_subject(apply_view(dataset, ViewOptions(holdout=2)), torch.device("cpu"), 0, tmp_path)
    made.model = Flat()
    return made


def threads():
    return max(pool["num_threads"] for pool in threadpool_info())


def test_the_bound_ends_with_its_block_and_with_its_function(two_threads):
    with one_thread():
        assert threads() == 1
    assert threads() == 2
    assert one_thread()(threads)() == 1
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert threads() == 2


@pytest.mark.parametrize("user", COSTLY, ids=lambda user: user.__name__)
def test_whatever_fits_does_so_on_one_thread(user, two_threads, subject, monkeypatch):
    seen = {}

    def watch(cls, name):
        original = getattr(cls, name)

        def watched(*arguments, **options):
            seen.setdefault(f"{cls.__name__}.{name}", set()).add(threads())
            return original(*arguments, **options)

        monkeypatch.setattr(cls, name, watched)

    for cls, name in COSTLY[user]:
        watch(cls, name)
    if user is CodeDensity:
        CodeDensity(2, DensityConfig()).fit(torch.randn(100, 2))
    else:
        user(user.Config()).measure(subject)
    assert seen == {f"{cls.__name__}.{name}": {1} for cls, name in COSTLY[user]}

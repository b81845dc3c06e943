"""Metrics against known answers: what they say about models whose scores can be worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.metrics import Subject, features
from genbench.metrics.base import choose
from genbench.metrics.fidelity import FrechetDistance, PrecisionRecall
from genbench.metrics.likelihood import Likelihood
from genbench.model import Density, LatentBound, Sampler

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _fixed():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def make_subject(model, spec, train, test, tmp_path):
    dataset = Dataset("known", spec, Split(train), Split(train[:10]), Split(test), family="known")
    splits = {name: DeviceSplit(dataset, name, CPU) for name in ("train", "validation", "test")}
    return Subject(model=model, data=spec, dataset=dataset, **splits, device=CPU, seed=0, folder=tmp_path)


def discrete_subject(model, levels, tmp_path, n=200, dims=12):
    rng = np.random.default_rng(0)
    x = rng.integers(levels, size=(n, dims)).astype(np.uint8)
    kind = "binary" if levels == 2 else "discrete"
    return make_subject(model, DataSpec((dims,), kind, levels), x, x, tmp_path)


def likelihood(subject, **config):
    return {m.name: m for m in Likelihood(Likelihood.Config(**config)).measure(subject)}


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_uniform_probability_scores_log2_levels(levels, tmp_path):
    class Uniform(Density):
        def log_prob(self, x, y=None):
            return torch.full((len(x),), -x.shape[1] * math.log(levels), dtype=torch.float64)

    bits = likelihood(discrete_subject(Uniform(), levels, tmp_path))["bits_per_dim"]
    assert bits.value == pytest.approx(math.log2(levels), rel=1e-12)
    assert bits.stderr == pytest.approx(0, abs=1e-12)
    assert bits.kind == "exact"


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("k", [1, 5])
def test_a_uniform_density_scores_log2_levels(levels, k, tmp_path):
    class Uniform(Density):
        continuous = True

        def log_prob(self, u, y=None):
            return torch.where(((u >= 0) & (u < 1)).all(1), 0.0, -torch.inf)

    bits = likelihood(discrete_subject(Uniform(), levels, tmp_path), dequantizations=k)["bits_per_dim"]
    assert bits.value == pytest.approx(math.log2(levels), rel=1e-12)
    assert bits.kind == "upper_bound"


class Ramp(Density):
    """p(u) = prod_i 2 u_i on the unit cube, so that P(level) = (2 level + 1) / levels^2 in every dimension."""

    continuous = True

    def log_prob(self, u, y=None):
        return torch.log(2 * u.double()).sum(1)


def test_dequantisation_bounds_the_probability_of_levels_ever_more_tightly(tmp_path):
    levels = 4
    subject = discrete_subject(Ramp(), levels, tmp_path, n=4000, dims=2)
    level = torch.from_numpy(subject.dataset.test.x).double()
    exact = torch.log((2 * level + 1) / levels**2).sum(1).mean().item()
    # E log u over a bin [a, b) is (b log b - a log a)/(b - a) - 1
    a, b = level / levels, (level + 1) / levels
    inside = (torch.special.xlogy(b, b) - torch.special.xlogy(a, a)) * levels - 1
    single = (math.log(2) + inside - math.log(levels)).sum(1).mean().item()

    got = {k: likelihood(subject, dequantizations=k)["log_likelihood"] for k in (1, 4, 256)}
    # the data are fixed, so the draws' own error is what counts; that over data is larger
    assert got[1].value == pytest.approx(single, abs=5 * got[1].stderr)
    assert single < exact - 0.05
    assert got[1].value < got[4].value < got[256].value
    assert got[256].value == pytest.approx(exact, abs=0.005)


class LinearGaussian(LatentBound):
    """z ~ N(0, I), x|z ~ N(Wz + b, s^2 I), in float64; q(z|x) is the posterior, its covariance times `inflation`."""

    def __init__(self, dims, latent, scale=0.5, inflation=1.0):
        generator = torch.Generator().manual_seed(1)
        self.W = torch.randn(dims, latent, generator=generator, dtype=torch.float64)
        self.b = torch.randn(dims, generator=generator, dtype=torch.float64)
        self.scale = scale
        precision = torch.eye(latent, dtype=torch.float64) + self.W.T @ self.W / scale**2
        self.gain = torch.linalg.solve(precision, self.W.T) / scale**2
        self.covariance = torch.linalg.inv(precision)
        self.q_covariance = inflation * self.covariance

    def marginal(self):
        covariance = self.W @ self.W.T + self.scale**2 * torch.eye(len(self.b), dtype=torch.float64)
        return MultivariateNormal(self.b, covariance)

    def log_weights(self, x, k, y=None):
        x = x.double()
        q = MultivariateNormal((x - self.b) @ self.gain.T, self.q_covariance)
        z = q.sample((k,))
        prior = Normal(0.0, 1.0).log_prob(z).sum(-1)
        observation = Normal(z @ self.W.T + self.b, self.scale).log_prob(x).sum(-1)
        return prior + observation - q.log_prob(z)

    def elbo_gap(self):
        """KL(q || posterior): d/2 (c - 1 - ln c) for a covariance that is c times the posterior's."""
        d = len(self.covariance)
        c = (self.q_covariance[0, 0] / self.covariance[0, 0]).item()
        return d / 2 * (c - 1 - math.log(c))


def linear_gaussian_subject(model, tmp_path, n=400):
    x = model.marginal().sample((n,)).numpy().astype(np.float32)
    return make_subject(model, DataSpec(x.shape[1:], "continuous"), x, x, tmp_path)


def test_the_true_posterior_gives_the_exact_log_likelihood_without_noise(tmp_path):
    model = LinearGaussian(dims=6, latent=3)
    subject = linear_gaussian_subject(model, tmp_path)
    exact = model.marginal().log_prob(subject.test.x().double())
    for k in (1, 10):
        got = likelihood(subject, k=k)
        for name in ("log_likelihood", "elbo"):
            assert got[name].value == pytest.approx(exact.mean().item(), abs=1e-9)
            assert got[name].stderr == pytest.approx(exact.std().item() / math.sqrt(len(exact)), rel=1e-9)


def test_a_wrong_posterior_gives_ordered_bounds_with_the_known_gap(tmp_path):
    model = LinearGaussian(dims=6, latent=3, inflation=3.0)
    subject = linear_gaussian_subject(model, tmp_path)
    exact = model.marginal().log_prob(subject.test.x().double()).mean().item()
    n = len(subject.test)
    # the data are fixed: the error is that of the draws, of variance d/2 (c - 1)^2 each, for the log-weights
    draw_error = math.sqrt(3 / 2) * 2 / math.sqrt(n)
    gap = model.elbo_gap()
    assert gap > 1
    values = {k: likelihood(subject, k=k) for k in (1, 4, 64, 2000)}
    for k, got in values.items():
        assert got["elbo"].value == pytest.approx(exact - gap, abs=5 * draw_error / math.sqrt(k))
        assert got["log_likelihood"].value < exact + 5 * draw_error / math.sqrt(k)
    bounds = [got["log_likelihood"].value for got in values.values()]
    assert values[1]["elbo"].value == pytest.approx(bounds[0], abs=1e-12)
    assert bounds[0] < bounds[1] < bounds[2] < exact + 5 * draw_error / 8
    assert bounds[3] == pytest.approx(exact, abs=0.01)


def test_streaming_over_draws_is_the_mean_over_all_of_them(tmp_path):
    """Pieces of the draws, put together, against the log-mean-exp of the same draws at once."""

    class Recorded(LinearGaussian):
        def __init__(self):
            super().__init__(dims=3, latent=2, inflation=4.0)
            self.drawn = []

        def log_weights(self, x, k, y=None):
            self.drawn.append(super().log_weights(x, k))
            return self.drawn[-1]

    model = Recorded()
    subject = linear_gaussian_subject(model, tmp_path, n=20)
    got = likelihood(subject, k=10, batch=4)
    weights = torch.stack([torch.cat(model.drawn[i : i + 3]) for i in range(0, 60, 3)])
    assert weights.shape == (20, 10, 1)
    want = (weights.logsumexp(1) - math.log(10)).mean().item()
    assert got["log_likelihood"].value == pytest.approx(want, rel=1e-12)
    assert got["elbo"].value == pytest.approx(weights.mean().item(), rel=1e-12)


class Draws(Sampler):
    def __init__(self, mean, root):
        self.mean, self.root = mean, root

    def sample(self, n, y=None):
        return torch.randn(n, len(self.mean)) @ self.root.T + self.mean


@pytest.fixture
def identity(monkeypatch):
    """Features that are the data themselves."""

    class Identity:
        name, sha256, dims = "identity", None, None

        def __call__(self, x):
            return x.double()

    monkeypatch.setattr(features, "extractor_for", lambda dataset: "identity")
    monkeypatch.setattr(features, "load_extractor", lambda name, device, weights=None: Identity())


def normal_subject(model, tmp_path, seed=0, n=500):
    x = np.random.default_rng(seed).normal(size=(2 * n, 4)).astype(np.float32)
    return make_subject(model, DataSpec((4,), "continuous"), x[:n], x[n:], tmp_path)


def test_fid_is_the_formula_on_the_sample_moments(identity, tmp_path):
    model = Draws(
        torch.tensor([0.5, 0.0, -1.0, 2.0]), torch.tensor(np.random.default_rng(1).normal(size=(4, 4))).float()
    )
    subject = normal_subject(model, tmp_path)
    _, plain = FrechetDistance(FrechetDistance.Config()).measure(subject)
    a, b = (x.double().numpy() for x in (features.samples(subject, 500), subject.train.x()))
    mean = a.mean(0) - b.mean(0)
    S, T = np.cov(a.T), np.cov(b.T)
    # tr (ST)^(1/2) = tr (S^(1/2) T S^(1/2))^(1/2), of a symmetric matrix
    values, vectors = np.linalg.eigh(S)
    root = vectors * np.sqrt(values) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ T @ root)).sum()
    assert plain.value == pytest.approx(mean @ mean + np.trace(S) + np.trace(T) - 2 * cross, rel=1e-6)


def test_fid_of_far_apart_normals_is_their_distance(identity, tmp_path):
    """N(0, I) against N(m, 4 I): |m|^2 + d (2 - 1)^2, up to the error of 500 points."""
    subject = normal_subject(Draws(torch.full((4,), 3.0), 2 * torch.eye(4)), tmp_path)
    fid, _ = FrechetDistance(FrechetDistance.Config()).measure(subject)
    # standard error of |m|^2: 2 |m| sqrt((1 + 4)/500); of the spreads, less
    assert fid.value == pytest.approx(4 * 9 + 4, abs=5 * 2 * 6 * math.sqrt(5 / 500))


def test_precision_and_recall_are_the_shares_inside_neighbourhoods(identity, tmp_path):
    subject = normal_subject(Draws(torch.full((4,), 1.0), 0.5 * torch.eye(4)), tmp_path, n=80)
    precision, recall = PrecisionRecall(PrecisionRecall.Config()).measure(subject)
    a = features.samples(subject, 80).double().numpy()
    b = subject.train.batch(choose(subject.train)).x.double().numpy()

    def inside(points, centres):
        distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
        radii = np.sort(distances, axis=1)[:, 3]  # the point itself is the nearest
        return (np.linalg.norm(points[:, None] - centres[None], axis=-1) <= radii).any(1).mean()

    assert precision.value == pytest.approx(inside(a, b))
    assert recall.value == pytest.approx(inside(b, a))
    assert precision.value > recall.value

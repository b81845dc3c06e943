"""Annealed importance sampling against closed forms, quadrature and enumeration."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.metrics.ais import AnnealedImportance
from genbench.metrics.annealing import Path, forward, log_mean_exp, log_mean_exp_stderr, reverse, sigmoid_schedule
from genbench.metrics.base import MetricError, NotApplicable, Subject, seeded
from genbench.metrics.decoding import DecoderBounds
from genbench.metrics.hmc import Posterior
from genbench.metrics.noise import noisy, scales
from genbench.model import Bernoulli, Decoder, DiscretizedGaussian, Gaussian, Unnormalized
from genbench_ebm.rbm import RBM

CPU = torch.device("cpu")
NO_PROGRESS = lambda _: None  # noqa: E731  # a constant of the tests


@pytest.fixture(autouse=True)
def seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, more of them only wait for each other
    with seeded(0, CPU), torch.no_grad():
        yield
    torch.set_num_threads(threads)


def standard_normal(d):
    return Independent(Normal(torch.zeros(d), torch.ones(d)), 1)


class LinearGaussian(Decoder):
    """x = Wz + 0.5 e in four dimensions, with two codes: log p(x) is that of a normal distribution."""

    data = DataSpec((4,), "continuous")
    scale = 0.5

    def __init__(self):
        self.weight = torch.tensor([[1.0, 0.5], [-0.5, 1.0], [0.3, 0.3], [2.0, 0.0]])

    def prior(self):
        return standard_normal(2)

    def decode(self, z):
        return z @ self.weight.T

    def observation(self, z):
        return Gaussian(self.decode(z), torch.tensor(math.log(self.scale)))

    def log_prob(self, x):
        covariance = self.weight @ self.weight.T + self.scale**2 * torch.eye(4)
        return MultivariateNormal(torch.zeros(4), covariance).log_prob(x).double()


class Mean(LinearGaussian):
    """The same decoder without a p(x|z) of its own."""

    def observation(self, z):
        return None


class TwoLatents(Decoder):
    """A nonlinear Bernoulli decoder of six pixels with two codes: log p(x) by quadrature."""

    data = DataSpec((6,), "binary", 2)

    def __init__(self):
        generator = torch.Generator().manual_seed(1)
        self.first = 2 * torch.randn(2, 8, generator=generator)
        self.second = 2 * torch.randn(8, 6, generator=generator)

    def prior(self):
        return standard_normal(2)

    def decode(self, z):
        return self.observation(z).mean

    def observation(self, z):
        return Bernoulli(torch.tanh(z @ self.first) @ self.second)

    def log_prob(self, x):
        side = torch.linspace(-6, 6, 151)
        z = torch.cartesian_prod(side, side)
        log_joint = torch.stack([self.observation(z).log_prob(row.expand(len(z), -1)).double() for row in x], 1)
        log_joint += self.prior().log_prob(z).double()[:, None]
        return log_joint.logsumexp(0) + 2 * math.log(side[1] - side[0])


def bounds_of(model, temperatures, chains=1, n=300):
    """Bounds with step sizes adapted on simulated points that are not used again, and codes and points to score."""
    bounds = DecoderBounds(model, model.data, temperatures=temperatures, leapfrog=5, chains=chains, batch=10_000)
    bounds.prepare(model.observation(model.prior().sample((200,))).sample())
    z, x = bounds.simulate(n)
    return bounds, z, x


def mean_and_stderr(values):
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


@pytest.mark.parametrize("model", [LinearGaussian(), TwoLatents()], ids=["closed form", "quadrature"])
@pytest.mark.parametrize("temperatures", [5, 30])
def test_decoder_bounds_sandwich_the_truth(model, temperatures):
    bounds, z, x = bounds_of(model, temperatures)
    truth = model.log_prob(x)
    below, below_stderr = mean_and_stderr(bounds.lower(x, NO_PROGRESS) - truth)
    above, above_stderr = mean_and_stderr(bounds.upper(x, z, NO_PROGRESS) - truth)
    assert below < 5 * below_stderr
    assert above > -5 * above_stderr
    if temperatures == 5:  # so few that both are off by more than their errors: a bound that is loose is tested as one
        assert below < -4 * below_stderr
        assert above > 4 * above_stderr


@pytest.mark.parametrize("model", [LinearGaussian(), TwoLatents()], ids=["closed form", "quadrature"])
def test_decoder_bounds_meet_the_truth(model):
    bounds, z, x = bounds_of(model, 200, chains=4, n=200)
    truth = model.log_prob(x)
    for found in (bounds.lower(x, NO_PROGRESS), bounds.upper(x, z, NO_PROGRESS)):
        error, stderr = mean_and_stderr(found - truth)
        assert stderr < 0.03
        assert abs(error) < 5 * stderr
    assert 0.5 < bounds.acceptance < 0.8


def test_one_temperature_is_importance_sampling_from_the_prior():
    model = LinearGaussian()
    z, x = model.prior().sample((50,)), torch.ones(50, 4)
    posterior = Posterior(model.prior().log_prob, lambda z: model.observation(z).log_prob(x).double())

    class Direct(Path):
        length = 1

        def log_ratio(self, state, t):
            return state.log_likelihood

        def move(self, state, t):
            raise AssertionError("there is no temperature between")

    log_w = forward(Direct(), posterior.at(z), NO_PROGRESS)
    torch.testing.assert_close(log_w, model.observation(z).log_prob(x).double())


def test_transitions_leave_the_posterior_invariant():
    """Codes that start as exact posterior samples, of many points, keep their distribution: the residuals
    (z - E[z|x]) have the posterior's covariance before and after."""
    model = LinearGaussian()
    z = model.prior().sample((20_000,))
    x = model.observation(z).sample()
    posterior = Posterior(model.prior().log_prob, lambda z: model.observation(z).log_prob(x).double())
    precision = torch.eye(2) + model.weight.T @ model.weight / model.scale**2
    centre = torch.linalg.solve(precision, (x @ model.weight / model.scale**2).T).T
    state = posterior.at(z)
    for _ in range(5):
        state, acceptance = posterior.move(state, 1.0, 0.3, 5)
    assert 0.5 < acceptance < 1
    white = (state.z - centre) @ torch.linalg.cholesky(precision)
    moved = (state.z - z).square().mean().sqrt()
    assert moved > 0.1
    stderr = 1 / math.sqrt(len(z))
    assert white.mean(0).abs().max() < 5 * stderr
    assert (white.T @ white / len(z) - torch.eye(2)).abs().max() < 5 * math.sqrt(2) * stderr


def test_the_fitted_scale_is_that_of_the_data():
    model = Mean()
    x = LinearGaussian().observation(model.prior().sample((300,))).sample()
    bounds = DecoderBounds(model, model.data, temperatures=300, leapfrog=5, chains=2, batch=10_000)
    settings = bounds.prepare(x)
    tried = scales(model.data, x)
    assert settings["observation_scale"] == min(tried, key=lambda scale: abs(math.log(scale / model.scale)))
    assert not settings["observation_scale_at_edge"]
    assert settings["observation"] == "Gaussian around the decoder's mean"


@pytest.mark.parametrize("levels", [2, 5])
@pytest.mark.parametrize("mean", [-0.2, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("scale", [0.01, 0.2])
def test_noise_around_a_mean_sums_to_one_over_all_levels(levels, mean, scale):
    data = DataSpec((1,), "binary" if levels == 2 else "discrete", levels)
    x = torch.linspace(0, 1, levels)[:, None]
    observation = noisy(data, torch.full((levels, 1), mean, dtype=torch.float64), scale)
    assert observation.log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_the_discretised_gaussian_is_right_in_its_tails():
    """Against log(Phi(b) - Phi(a)) by numpy's longdouble quadrature of the density, 30 standard deviations away."""
    x = torch.tensor([[0.6]], dtype=torch.float64, requires_grad=False)
    mean = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        log_p = DiscretizedGaussian(mean, 0.02, 11).log_prob(x)
        (gradient,) = torch.autograd.grad(log_p.sum(), mean)
    t = np.linspace(0.55, 0.65, 200_001, dtype=np.longdouble) / np.longdouble(0.02)
    density = -0.5 * t * t - 0.5 * np.log(2 * np.pi)
    top = density.max()
    expected = float(top + np.log(np.trapezoid(np.exp(density - top), t)))
    assert log_p.item() == pytest.approx(expected, rel=1e-6)
    assert gradient.item() == pytest.approx(0.55 / 0.02**2, rel=0.01)


def tiny_rbm(visible=8, hidden=6, scale=1.5):
    data = DataSpec((visible,), "binary", 2)
    model = RBM(data, RBM.Config(hidden=hidden, chains=10)).eval()
    model.weight.copy_(scale * torch.randn(visible, hidden))
    model.visible_bias.copy_(torch.randn(visible))
    model.hidden_bias.copy_(torch.randn(hidden))
    model.base_bias.copy_(0.5 * torch.randn(visible))
    return model


def all_states(d):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=d)))


class Exact(RBM):
    """An RBM whose samples are exact, by enumeration."""

    def sample(self, n, y=None):
        states = all_states(self.data.dims)
        return states[torch.multinomial((-self.free_energy(states)).softmax(0), n, replacement=True)]


def exact_rbm(**options):
    model = tiny_rbm(**options)
    exact = Exact(model.data, model.config).eval()
    exact.load_state_dict(model.state_dict())
    return exact


def subject_of(model, x):
    split = Split(x.numpy().astype(np.uint8))
    dataset = Dataset("tiny", model.data, split, split, split, family="tiny")
    parts = [DeviceSplit(dataset, name, CPU) for name in ("train", "validation", "test")]
    return Subject(model, model.data, dataset, *parts, device=CPU, seed=0, folder=None)


@pytest.mark.parametrize("temperatures", [4, 50])
def test_log_z_of_an_rbm_is_sandwiched_on_the_right_sides(temperatures):
    model = exact_rbm()
    states = all_states(8)
    log_z = (-model.free_energy(states).double()).logsumexp(0).item()
    config = AnnealedImportance.Config(energy_temperatures=temperatures, energy_chains=2000)
    values = {m.name: m for m in AnnealedImportance(config).measure(subject_of(model, model.sample(300)))}
    settings = values["ais_gap"].settings
    below, above = settings["log_z_lower"] - log_z, settings["log_z_upper"] - log_z
    stderr = values["ais_gap"].stderr
    assert below < 5 * stderr
    assert above > -5 * stderr
    assert values["ais_log_likelihood"].value < values["ais_log_likelihood_upper"].value + 5 * stderr
    assert values["ais_log_likelihood"].kind == "lower_bound"
    assert values["ais_log_likelihood_upper"].kind == "upper_bound"
    if temperatures == 50:
        assert abs(below) < 5 * stderr
        assert abs(above) < 5 * stderr
        assert stderr < 0.1


def test_single_chains_of_an_rbm_are_biased_to_their_own_side():
    """With one chain per estimate, few temperatures and many estimates, both biases are far above their errors."""
    model = exact_rbm()
    log_ratio = (-model.free_energy(all_states(8)).double()).logsumexp(0) - model.base_log_normalizer()

    class Few(Path):
        length = 3

        def log_ratio(self, state, t):
            return (model.log_unnormalized(state, t / 3) - model.log_unnormalized(state, (t - 1) / 3)).double()

        def move(self, state, t):
            return model.transition(state, t / 3)

    below, below_stderr = mean_and_stderr(forward(Few(), model.base_sample(5000), NO_PROGRESS) - log_ratio)
    above, above_stderr = mean_and_stderr(reverse(Few(), model.sample(5000), NO_PROGRESS) - log_ratio)
    assert below < -10 * below_stderr
    assert above > 10 * above_stderr


def test_the_weights_are_unbiased():
    """E[w] = Z_T/Z_0, for however few temperatures, and E[1/w] its inverse in the other direction."""
    model = exact_rbm(scale=0.7)
    log_ratio = (-model.free_energy(all_states(8)).double()).logsumexp(0) - model.base_log_normalizer()

    class Few(Path):
        length = 3

        def log_ratio(self, state, t):
            return (model.log_unnormalized(state, t / 3) - model.log_unnormalized(state, (t - 1) / 3)).double()

        def move(self, state, t):
            return model.transition(state, t / 3)

    log_w = forward(Few(), model.base_sample(50_000), NO_PROGRESS)
    assert (log_mean_exp(log_w) - log_ratio).abs() < 5 * log_mean_exp_stderr(log_w)
    log_w = -reverse(Few(), model.sample(50_000), NO_PROGRESS)
    assert (log_mean_exp(log_w) + log_ratio).abs() < 5 * log_mean_exp_stderr(log_w)


def test_the_schedule_rises_from_0_to_1():
    betas = sigmoid_schedule(10)
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (betas.diff() > 0).all()


def test_the_metric_reports_bounds_of_a_decoder():
    model = TwoLatents()
    x = model.observation(model.prior().sample((60,))).sample()
    config = AnnealedImportance.Config(temperatures=300, chains=4, n=60)
    values = {m.name: m for m in AnnealedImportance(config).measure(subject_of(model, x))}
    found = values["ais_log_likelihood"]
    truth, _ = mean_and_stderr(model.log_prob(x))
    # the error of the gap holds that of the lower bound
    stderr = values["ais_gap"].stderr
    assert stderr < 0.05
    assert found.value == pytest.approx(truth, abs=5 * stderr)
    assert found.kind == "lower_bound"
    assert values["ais_bits_per_dim"].value == pytest.approx(-found.value / (6 * math.log(2)))
    assert values["ais_bits_per_dim"].kind == "upper_bound"
    assert abs(values["ais_gap"].value) < 5 * stderr
    assert set(values) == {"ais_log_likelihood", "ais_bits_per_dim", "ais_gap"}


def test_an_energy_model_without_samples_is_refused():
    class Silent(Unnormalized):
        data = DataSpec((2,), "binary", 2)

        def log_unnormalized(self, x, beta):
            return x.sum(1)

        def transition(self, x, beta):
            return x

        def base_sample(self, n):
            return torch.zeros(n, 2)

        def base_log_normalizer(self):
            return torch.zeros(())

    with pytest.raises(NotApplicable, match="no Sampler"):
        AnnealedImportance(AnnealedImportance.Config()).measure(subject_of(Silent(), torch.zeros(5, 2)))


@pytest.mark.parametrize("worth", [math.nan, math.inf])
def test_a_decoder_that_gives_no_number_is_named(worth):
    class Broken(LinearGaussian):
        def observation(self, z):
            return Gaussian(self.decode(z) * worth, torch.zeros(()))

    model = Broken()
    bounds = DecoderBounds(model, model.data, temperatures=5, leapfrog=2, chains=1, batch=100)
    with pytest.raises(MetricError, match=r"Broken\.observation\(z\)\.log_prob returned"):
        bounds.prepare(torch.zeros(4, 4))


def test_all_points_and_chains_go_through_the_decoder_together():
    class Counting(TwoLatents):
        calls = 0

        def observation(self, z):
            self.calls += 1
            return super().observation(z)

    counted = []
    for n, chains in ((10, 1), (40, 4)):
        model = Counting()
        config = AnnealedImportance.Config(temperatures=10, n=n, chains=chains)
        AnnealedImportance(config).measure(subject_of(model, torch.zeros(40, 6)))
        counted.append(model.calls)
    assert counted[0] == counted[1]


def test_progress_rises_to_one():
    seen = []
    subject = subject_of(TwoLatents(), torch.zeros(20, 6))
    subject.progress = seen.append
    AnnealedImportance(AnnealedImportance.Config(temperatures=10, n=20, batch=30)).measure(subject)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)

"""The conditional VAE against the plain one, and against the normal densities of linear decoders."""

import copy
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal, kl_divergence

from genbench.metrics.likelihood import Likelihood
from genbench.model import Batch, DataSpec
from genbench.selftest.known import subject_of
from genbench_vae.cvae import CVAE
from genbench_vae.labels import FEATURES
from genbench_vae.vae import VAE

CLASSES, DIMS, LATENT, NOISE = 3, 4, 2, 0.6
SPACE = DataSpec((DIMS,), "continuous", num_classes=CLASSES)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, more of them only wait for each other
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


class Encoder(nn.Module):
    """q(z|x, y) = N(A_y (x - b_y) + c_y, diag s_y²), of features that are x itself, beside a one-hot label."""

    def __init__(self, A, b, c, s):
        super().__init__()
        self.A, self.b, self.c, self.s = A, b, c, s

    def forward(self, features):
        y = features[:, DIMS:].argmax(1)
        mean = torch.einsum("bij,bj->bi", self.A[y], features[:, :DIMS] - self.b[y]) + self.c[y]
        return torch.cat([mean, self.s[y].log()], dim=1)


def linear_cvae(shrink=1.0, orthogonal=False):
    """x = Wz + d_y + 0.6 ε with z ~ N(m_y, diag t_y²), whose p(x|y) is normal, and q(z|x, y) with a mean that moves
    `shrink` times as far as the exact posterior's, and the precisions of that, without its correlations.

    The correlations of W's columns are fixed, and where there are any q is 1.3 times as wide, so that the fourth moment
    of the weights p(x, z|y)/q(z|x, y) is finite and their standard error known."""
    config = CVAE.Config(prior="label", latent_dim=LATENT, network="mlp", hidden=4, std=NOISE)
    model = CVAE(SPACE, config).eval()
    lengths = torch.tensor([[1.5, 0.0], [0.0, 0.7]] if orthogonal else [[1.2, 0.5], [0.0, 0.8]])
    W = torch.linalg.qr(torch.randn(DIMS, LATENT))[0] @ lengths
    d, m, t = torch.randn(CLASSES, DIMS), torch.randn(CLASSES, LATENT), 0.5 + torch.rand(CLASSES, LATENT)
    model.decoder = nn.Linear(LATENT + CLASSES, DIMS, bias=False)
    model.decoder.weight.data.copy_(torch.cat([W, d.T], dim=1))
    model.prior_network.weight.data.copy_(torch.cat([m, t.log()], dim=1))
    mean = m @ W.T + d
    posterior_precision = torch.diag_embed(t**-2) + W.T @ W / NOISE**2
    S = torch.linalg.inv(posterior_precision)
    A = S @ W.T / NOISE**2
    model.features = nn.Identity()
    s = (1.0 if orthogonal else 1.3) * posterior_precision.diagonal(dim1=1, dim2=2).rsqrt()
    model.head = Encoder(shrink * A, mean, m, s)
    covariance = (W * t[:, None] ** 2) @ W.T + NOISE**2 * torch.eye(DIMS)
    exact = SimpleNamespace(
        marginal=MultivariateNormal(mean, covariance),
        posterior=lambda x, y: MultivariateNormal(m[y] + torch.einsum("bij,bj->bi", A[y], x - mean[y]), S[y]),
    )
    return model, exact


def some_points(model):
    y = torch.arange(12) % CLASSES
    return model.sample(12, y), y


@pytest.mark.parametrize(
    "data", [DataSpec((1, 8, 8), "discrete", 17, 10), DataSpec((5,), "binary", 2, 4)], ids=["images", "vectors"]
)
@torch.no_grad()
def test_without_the_label_it_is_the_vae(data):
    """A CVAE whose weights for the label are 0 has the loss and the weights of the VAE of the other weights."""
    conditional = CVAE(data, CVAE.Config(latent_dim=3, hidden=16, width=4)).eval()
    plain = VAE(data, VAE.Config(latent_dim=3, hidden=16, width=4)).eval()
    first = next(layer for layer in conditional.decoder.modules() if isinstance(layer, nn.Linear))
    hidden = conditional.head[0]
    plain.encoder = nn.Sequential(conditional.features, nn.Linear(FEATURES, FEATURES), *conditional.head[1:])
    plain.encoder[1].weight.copy_(hidden.weight[:, :FEATURES])
    plain.encoder[1].bias.copy_(hidden.bias)
    plain.decoder = copy.deepcopy(conditional.decoder)
    narrow = next(layer for layer in plain.decoder.modules() if isinstance(layer, nn.Linear))
    narrow.weight = nn.Parameter(first.weight[:, :3].clone())
    x = torch.randint(data.levels, (20, *data.shape)) / (data.levels - 1)
    y = torch.arange(20) % data.num_classes

    def scores(model, *labels):
        torch.manual_seed(1)
        loss = model.loss(Batch(x, *labels), 1.0)
        return *loss.values(), model.log_weights(x, 5, *labels)

    with_labels = scores(conditional, y)
    first.weight[:, 3:] = 0
    hidden.weight[:, FEATURES:] = 0
    without, expected = scores(conditional, y), scores(plain)
    torch.testing.assert_close(without, expected)
    assert not torch.allclose(with_labels[-1], expected[-1], rtol=1e-5)


def test_a_prior_network_of_zeros_is_the_independent_prior():
    """At the start, and for all of a training in which it stays at 0."""
    data = DataSpec((1, 8, 8), "discrete", 17, 10)
    x, y = torch.randint(17, (32, 1, 8, 8)) / 16, torch.arange(32) % 10
    models = []
    for prior in ("independent", "label"):
        torch.manual_seed(1)
        model = CVAE(data, CVAE.Config(latent_dim=3, width=4))
        if prior == "label":
            labelled = CVAE(data, CVAE.Config(latent_dim=3, width=4, prior="label"))
            labelled.load_state_dict(model.state_dict(), strict=False)
            labelled.prior_network.weight.requires_grad_(False)
            model = labelled
        model.setup(Batch(x, y))
        torch.manual_seed(2)
        for step in range(3):
            model.update(Batch(x, y), step / 3)
        models.append(model.eval())
    results = []
    for model in models:
        torch.manual_seed(3)
        with torch.no_grad():
            results.append((model.loss(Batch(x, y), 1.0), model.log_weights(x, 4, y), model.sample(32, y)))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    p = models[1].prior(y)
    assert torch.equal(p.mean, torch.zeros(32, 3))
    assert torch.equal(p.stddev, torch.ones(32, 3))


@torch.no_grad()
def test_weights_are_the_likelihood_where_the_posterior_is_exact():
    model, exact = linear_cvae(orthogonal=True)
    x, y = some_points(model)
    expected = MultivariateNormal(exact.marginal.mean[y], exact.marginal.covariance_matrix[y]).log_prob(x)
    torch.testing.assert_close(model.log_weights(x, 50, y), expected.expand(50, 12), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_bounds_of_an_inexact_posterior_rise_to_the_likelihood():
    model, exact = linear_cvae(shrink=0.8)
    x, y = some_points(model)
    log_p = MultivariateNormal(exact.marginal.mean[y], exact.marginal.covariance_matrix[y]).log_prob(x).double()
    k = 40_000
    log_w = model.log_weights(x, k, y).double()
    ratio = (log_w - log_p).exp()
    stderr = ratio.std(0) / math.sqrt(k)
    assert bool(((ratio.mean(0) - 1).abs() < 5 * stderr).all())
    assert bool((stderr < 0.05).all())

    [(q, _)] = model.posterior(x, y)
    gap = kl_divergence(MultivariateNormal(q.mean, torch.diag_embed(q.variance)), exact.posterior(x, y)).double()
    stderr = log_w.std(0) / math.sqrt(k)
    assert bool(((log_w.mean(0) - (log_p - gap)).abs() < 5 * stderr).all())

    bounds = [log_w.view(-1, j, 12).logsumexp(1).sub(math.log(j)).mean() for j in (1, 4, 16, 64)]
    assert all(float(a) < float(b) for a, b in itertools.pairwise(bounds))
    assert float(bounds[1]) < float(log_p.mean())
    assert float(log_p.mean() - bounds[-1]) < 0.1 * float(log_p.mean() - bounds[0])


@torch.no_grad()
def test_the_divergence_is_that_from_the_labels_own_prior():
    """The two-Gaussian formula, term by term and by Monte Carlo; KL to N(0, I) is something else."""
    model, _ = linear_cvae()
    x, y = some_points(model)
    [(q, p)] = model.posterior(x, y)
    formula = (p.stddev / q.stddev).log() + (q.variance + (q.mean - p.mean) ** 2) / (2 * p.variance) - 0.5
    expected = float(formula.sum(1).mean())
    assert float(model.loss(Batch(x, y), 1.0)["kl"]) == pytest.approx(expected, rel=1e-5)
    z = q.sample((20_000,))
    draws = (q.log_prob(z) - p.log_prob(z)).sum(2).mean(1)
    assert abs(float(draws.mean()) - expected) < 5 * float(draws.std()) / math.sqrt(len(draws))
    standard = float(kl_divergence(q, Normal(torch.zeros_like(q.mean), 1.0)).sum(1).mean())
    assert abs(standard - expected) > 100 * float(draws.std()) / math.sqrt(len(draws))


@torch.no_grad()
def test_the_loss_is_the_negative_bound():
    model, _ = linear_cvae(shrink=0.8)
    x, y = some_points(model)
    losses = torch.stack([model.loss(Batch(x, y), 1.0)["loss"] for _ in range(2000)]).double()
    bounds = model.log_weights(x, 20_000, y).double().mean(1)
    error = math.hypot(float(losses.std()) / math.sqrt(2000), float(bounds.std()) / math.sqrt(20_000))
    assert abs(float(losses.mean() + bounds.mean())) < 5 * error


@torch.no_grad()
def test_samples_have_the_moments_of_the_labels_own_density():
    model, exact = linear_cvae()
    for label in range(CLASSES):
        x = model.sample(20_000, torch.full((20_000,), label))
        mean, covariance = exact.marginal.mean[label], exact.marginal.covariance_matrix[label]
        assert bool(((x.mean(0) - mean).abs() < 5 * covariance.diagonal().div(20_000).sqrt()).all())
        outer = torch.outer(covariance.diagonal(), covariance.diagonal())
        assert bool(((x.T.cov() - covariance).abs() < 5 * ((outer + covariance**2) / 20_000).sqrt()).all())


@torch.no_grad()
def test_the_harness_measures_the_label_given_and_summed_out():
    """log p(x|y) and log p(x) = log Σ_y p(y) p(x|y) by the metric, where q is exact for every label."""
    model, exact = linear_cvae(orthogonal=True)
    y = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), 300, replacement=True)
    x = model.sample(300, y)
    subject = subject_of(model, SPACE, x, y)
    found = {m.name: m for m in Likelihood(Likelihood.Config(k=4)).measure(subject)}
    frequency = torch.bincount(y) / len(y)
    own = MultivariateNormal(exact.marginal.mean[y], exact.marginal.covariance_matrix[y]).log_prob(x)
    mixture = MixtureSameFamily(Categorical(frequency), exact.marginal).log_prob(x)
    assert found["conditional_log_likelihood"].value == pytest.approx(float(own.mean()), abs=1e-3)
    assert found["log_likelihood"].value == pytest.approx(float(mixture.mean()), abs=1e-3)
    # log p(x) is at least the mean of log p(x|y) over labels (Jensen), and here below that of the right one
    others = torch.stack([exact.marginal.log_prob(point) for point in x]) @ frequency
    assert float(others.mean()) < found["log_likelihood"].value < found["conditional_log_likelihood"].value


def test_training_finds_the_labels_own_densities():
    """Where p(x|y) is a Gaussian around a mean of the label's, and the code is of no use, training gets near to its
    entropy, which a model without labels can't."""
    means = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    y = torch.arange(1200) % 3
    x = means[y] + 0.3 * torch.randn(1200, 2)
    data = DataSpec((2,), "continuous", num_classes=3)
    config = CVAE.Config(latent_dim=1, hidden=16, dropout=0, prior="label", learning_rate=1e-2)
    model = CVAE(data, config)
    model.setup(Batch(x, y))
    for step in range(300):
        chosen = torch.randint(1200, (128,))
        model.update(Batch(x[chosen], y[chosen]), step / 300)
    with torch.no_grad():
        log_p = model.eval().log_weights(x, 16, y).double().logsumexp(0) - math.log(16)
    entropy = math.log(2 * math.pi * math.e * 0.3**2)
    assert float(log_p.mean()) == pytest.approx(-entropy, abs=0.15)
    # the entropy of x without labels is larger by nearly that of the labels, as the classes are far apart
    assert float(log_p.mean()) > -entropy - 0.9 * math.log(3) + 0.5

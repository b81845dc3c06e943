"""The variational family against closed forms and full enumeration."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, kl_divergence

from genbench.model import Batch, DataSpec, observe
from genbench_vae.gaussian import MIN_LOG_STD, gaussian, standard_like
from genbench_vae.marginal import marginal_parameters
from genbench_vae.vae import VAE

PLANE = DataSpec((3,), "continuous")
NOISE = 0.5


class LinearEncoder(nn.Module):
    """q(z|x) = N(A(x - b), diag s²), as mean and log standard deviation side by side."""

    def __init__(self, A, b, s):
        super().__init__()
        self.A, self.b, self.log_s = A, b, s.log()

    def forward(self, x):
        return torch.cat([(x - self.b) @ self.A.T, self.log_s.expand(len(x), -1)], dim=1)


def linear_vae(W, b, A, s):
    """A VAE with p(x|z) = N(Wz + b, 0.5² I), whose p(x) is N(b, WWᵀ + 0.5² I)."""
    model = VAE(PLANE, VAE.Config(latent_dim=2, network="mlp")).eval()
    model.encoder = LinearEncoder(A, b, s)
    model.decoder = nn.Linear(2, 6)
    with torch.no_grad():
        model.decoder.weight.copy_(torch.cat([W, torch.zeros(3, 2)]))
        model.decoder.bias.copy_(torch.cat([b, torch.full((3,), math.log(NOISE))]))
    return model, MultivariateNormal(b, W @ W.T + NOISE**2 * torch.eye(3))


def posterior(W):
    """A and the covariance of the exact posterior N(A(x - b), S)."""
    S = torch.linalg.inv(torch.eye(2) + W.T @ W / NOISE**2)
    return S @ W.T / NOISE**2, S


B = torch.tensor([0.3, -1.0, 2.0])
X = torch.tensor([[0.0, -1.2, 2.5], [1.0, 0.0, 1.0], [0.4, -2.0, 3.0]])


@torch.no_grad()
def test_log_weights_are_the_likelihood_where_the_posterior_is_exact():
    """With orthogonal columns in W the exact posterior is diagonal, and every weight is log p(x), whatever z."""
    torch.manual_seed(0)
    W = torch.linalg.qr(torch.randn(3, 2))[0] * torch.tensor([1.5, 0.7])
    A, S = posterior(W)
    model, marginal = linear_vae(W, B, A, S.diagonal().sqrt())
    expected = marginal.log_prob(X).expand(50, 3)
    torch.testing.assert_close(model.log_weights(X, 50), expected, rtol=1e-4, atol=1e-4)
    # and the posterior's mean is then what the model encodes and decodes
    torch.testing.assert_close(model.encode(X), (X - B) @ A.T)
    torch.testing.assert_close(model.reconstruct(X), (X - B) @ A.T @ W.T + B)


@torch.no_grad()
def test_bounds_of_an_inexact_posterior():
    torch.manual_seed(0)
    W = torch.tensor([[1.0, 0.5], [0.3, 0.8], [-0.5, 0.6]])
    A, S = posterior(W)
    s = torch.tensor([0.6, 0.5])
    model, marginal = linear_vae(W, B, 0.9 * A, s)
    log_p = marginal.log_prob(X).double()
    k = 40_000
    log_w = model.log_weights(X, k).double()

    ratio = (log_w - log_p).exp()  # E[w] = p(x): the importance-weighted bound with K = 1 inside the logarithm
    stderr = ratio.std(0) / math.sqrt(k)
    assert bool(((ratio.mean(0) - 1).abs() < 5 * stderr).all())
    assert bool((stderr < 0.02).all())

    q = MultivariateNormal((X - B) @ (0.9 * A).T, torch.diag(s**2))
    gap = kl_divergence(q, MultivariateNormal((X - B) @ A.T, S))  # log p - ELBO
    stderr = log_w.std(0) / math.sqrt(k)
    assert bool(((log_w.mean(0) - (log_p - gap)).abs() < 5 * stderr).all())
    assert bool((gap > 20 * stderr).all())

    # of the same draws, a bound rises with their number, whatever they are; the largest is too near log p to tell
    bounds = [log_w.view(-1, j, 3).logsumexp(1).sub(math.log(j)).mean(0) for j in (1, 4, 16, 64)]
    assert all(bool((a < b).all()) for a, b in itertools.pairwise(bounds))
    assert bool((bounds[1] < log_p).all())


@torch.no_grad()
def test_loss_is_the_negative_elbo_with_the_divergence_in_closed_form():
    torch.manual_seed(0)
    data = DataSpec((1, 4, 4), "discrete", levels=5)
    model = VAE(data, VAE.Config(latent_dim=3)).eval()
    x = torch.randint(5, (6, 1, 4, 4)) / 4
    scalars = model.loss(Batch(x), 1.0)
    [(q, p)] = model.posterior(x)
    assert float(p.mean.abs().max()) == 0
    assert float((p.stddev - 1).abs().max()) == 0
    torch.testing.assert_close(scalars["kl"], kl_divergence(Independent(q, 1), model.prior()).mean())
    torch.testing.assert_close(scalars["loss"], scalars["nll"] + scalars["kl"])
    losses = torch.stack([model.loss(Batch(x), 1.0)["loss"] for _ in range(500)])
    elbos = model.log_weights(x, 4000).mean(1)
    stderr = math.hypot(losses.std() / 500**0.5, elbos.std() / 4000**0.5)
    assert float(losses.mean() + elbos.mean()) == pytest.approx(0, abs=5 * stderr)


@torch.no_grad()
def test_divergence_in_closed_form_is_the_mean_over_draws():
    """Also where the encoder has gone beyond the bounds of its log standard deviations."""
    torch.manual_seed(0)
    q = gaussian(torch.tensor([[0.5, -2.0, 0.0, 1.0, -0.3, -40.0], [3.0, 0.1, -1.0, 0.0, 0.8, 1.5]]))
    p = standard_like(q)
    z = q.rsample((50_000,))
    draws = (q.log_prob(z) - p.log_prob(z)).double()
    assert bool(((draws.mean(0) - kl_divergence(q, p)).abs() < 5 * draws.std(0) / 50_000**0.5).all())
    assert float(q.stddev[0, 2]) == pytest.approx(math.exp(MIN_LOG_STD))


def line(a, b, c, d):
    """The mean over x ~ N(MU, SIGMA²) of the ELBO with q(z|x) = N(ax+b, 1) and p(x|z) = N(cz+d, c²), by hand."""
    error = (1 - c * a) ** 2 * SIGMA**2 + (MU - c * (a * MU + b) - d) ** 2 + c**2
    divergence = 0.5 * (a**2 * SIGMA**2 + (a * MU + b) ** 2)
    return -0.5 * math.log(2 * math.pi) - c.abs().log() - error / (2 * c**2) - divergence


MU, SIGMA = -0.7, 0.6
LINE = torch.tensor([1 / (2**0.5 * SIGMA), -MU / (2**0.5 * SIGMA), SIGMA / 2**0.5, MU], dtype=torch.float64)


def test_optimum_in_one_dimension():
    """The gradient vanishes there, the ELBO is (1 - ln 2)/2 below the likelihood of the data's own distribution, and it
    is where every search ends, up to the sign of z; with c = SIGMA and a = 1/SIGMA it is (ln 2)/2 lower."""
    best = LINE.clone().requires_grad_()
    (slope,) = torch.autograd.grad(line(*best), best)
    assert float(slope.abs().max()) < 1e-12
    likelihood = -0.5 * math.log(2 * math.pi * math.e * SIGMA**2)
    top = float(line(*LINE))
    assert top == pytest.approx(likelihood - 0.5 * (1 - math.log(2)), abs=1e-12)
    apart = torch.tensor([1 / SIGMA, -MU / SIGMA, SIGMA, MU], dtype=torch.float64)
    assert float(line(*apart)) == pytest.approx(top - 0.5 * math.log(2), abs=1e-12)
    for seed in range(5):
        torch.manual_seed(seed)
        found = torch.randn(4, dtype=torch.float64).requires_grad_()
        search = torch.optim.LBFGS([found], max_iter=500, tolerance_change=0, line_search_fn="strong_wolfe")

        def loss(found=found, search=search):
            search.zero_grad()
            value = -line(*found)
            value.backward()
            return value

        search.step(loss)
        sign = found[2].sign().detach() * torch.tensor([1, 1, 1, 0]) + torch.tensor([0, 0, 0, 1])
        torch.testing.assert_close(sign * found.detach(), LINE, rtol=0, atol=1e-5)


@torch.no_grad()
def test_elbo_in_one_dimension_is_what_the_model_says():
    """Loss and weights of a VAE with these networks, at the optimum and where nothing is optimal."""
    torch.manual_seed(0)
    n = 20_000
    x = MU + SIGMA * torch.randn(n, 1)
    for answer in (LINE, torch.tensor([0.4, 0.2, -1.3, 0.5])):
        a, b, c, d = answer.float()
        model = VAE(DataSpec((1,), "continuous"), VAE.Config(latent_dim=1, network="mlp")).eval()
        model.encoder, model.decoder = nn.Linear(1, 2), nn.Linear(1, 2)
        for layer, weight, bias in ((model.encoder, [a, 0], [b, 0]), (model.decoder, [c, 0], [d, c.abs().log()])):
            layer.weight.copy_(torch.tensor(weight)[:, None])
            layer.bias.copy_(torch.tensor(bias))
        known = float(line(*answer.double()))
        draws = model.log_weights(x, 1)[0].double()
        stderr = float(draws.std()) / n**0.5
        assert float(draws.mean()) == pytest.approx(known, abs=5 * stderr)
        # the loss has less noise than the weights, as its divergence has none
        assert float(-model.loss(Batch(x), 1.0)["loss"]) == pytest.approx(known, abs=5 * stderr)


@torch.no_grad()
def test_weight_of_the_divergence_follows_the_budget():
    data = DataSpec((5,), "binary", levels=2)
    x = torch.ones(4, 5)
    model = VAE(data, VAE.Config(latent_dim=2, beta=3.0, warmup=0.5))
    for progress, weight in ((0.0, 0.0), (0.25, 1.5), (0.5, 3.0), (1.0, 3.0)):
        scalars = model.loss(Batch(x), progress)
        torch.testing.assert_close(scalars["loss"], scalars["nll"] + weight * scalars["kl"])


@pytest.mark.parametrize(
    ("kind", "likelihood", "std"),
    [
        ("binary", "auto", None),
        ("discrete", "auto", None),
        ("discrete", "gaussian", None),
        ("discrete", "gaussian", 0.2),
        ("continuous", "auto", None),
        ("continuous", "auto", 0.2),
    ],
)
def test_marginal_parameters_have_the_datas_mean_and_spread(kind, likelihood, std):
    torch.manual_seed(0)
    levels = {"binary": 2, "discrete": 256, "continuous": None}[kind]
    data = DataSpec((2, 2, 3), kind, levels=levels)
    x = torch.rand(500, 2, 2, 3) * 0.2 + 0.4
    if levels:
        x = torch.round(x * (levels - 1)) / (levels - 1)
    p = observe(data, marginal_parameters(data, x, likelihood, std).expand(4000, -1, -1, -1), likelihood, std)
    torch.testing.assert_close(p.mean[0], x.mean(0))
    if kind != "binary":
        spread = std or x.std(0, unbiased=False)
        # a standard deviation is off by at most sqrt(kurtosis excess + 2)/(2 sqrt(n)) of itself: 1.02/sqrt(n) here
        assert bool(((p.sample().std(0) / spread - 1).abs() < 5 * 1.02 / 4000**0.5).all())

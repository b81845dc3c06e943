"""VAEs of several levels against closed forms: a linear-Gaussian model of two levels, one level, merged Gaussians."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from genbench.model import Batch, DataSpec
from genbench_vae.hvae import HVAE
from genbench_vae.ladder_vae import LadderVAE, merged
from genbench_vae.vae import VAE

SPACE = DataSpec((3,), "continuous")
DIGITS = DataSpec((1, 8, 8), "discrete", levels=17)

# x = W z_1 + B + NOISE e, z_1 = V z_2 + C + SPREAD e', where the columns of W are orthogonal and V V^T is diagonal, so
# that every posterior is a Gaussian of independent variables
NOISE = 0.5
SPREAD = torch.tensor([0.8, 0.6])
W = torch.tensor([[1.0, 0.5], [1.0, -0.5], [0.0, 1.0]])
B = torch.tensor([0.3, -1.0, 2.0])
V = torch.tensor([[0.0], [1.3]])
C = torch.tensor([0.5, -0.2])
X = torch.tensor([[0.0, -1.2, 2.5], [1.0, 0.0, 1.0], [0.4, -2.0, 3.0]])

PRECISION = (W.T @ W).diagonal() / NOISE**2  # of z_1, that x alone tells
PRIOR = V @ V.T + torch.diag(SPREAD**2)  # covariance of z_1
MARGINAL = MultivariateNormal(W @ C + B, W @ PRIOR @ W.T + NOISE**2 * torch.eye(3))


def affine(weight, bias, log_std, scale=1.0):
    """u to the parameters of N(weight u + bias, exp(log_std)²), the standard deviations `scale` times as large."""
    layer = nn.Linear(weight.shape[1], 2 * len(weight))
    with torch.no_grad():
        layer.weight.copy_(torch.cat([weight, torch.zeros_like(weight)]))
        layer.bias.copy_(torch.cat([bias, log_std + math.log(scale)]))
    return layer


def joined(*layers):
    """Linear layers of the same input as one, whose outputs are side by side."""
    whole = nn.Linear(layers[0].in_features, sum(layer.out_features for layer in layers))
    with torch.no_grad():
        whole.weight.copy_(torch.cat([layer.weight for layer in layers]))
        whole.bias.copy_(torch.cat([layer.bias for layer in layers]))
    return whole


def identity(dims):
    layer = nn.Linear(dims, dims)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(dims))
        layer.bias.zero_()
    return layer


def two_levels(cls, **options):
    config = cls.Config(levels=2, latent_dim=2, above="1", network="mlp", level_hidden=3, **options)
    model = cls(SPACE, config).eval()
    model.decoder = affine(W, B, torch.full((3,), math.log(NOISE)))
    model.priors = nn.ModuleList([affine(V, C, SPREAD.log())])
    return model


def bottom_up(scale=1.0):
    """The exact q(z_1|x) and q(z_2|z_1), or ones that are `scale` times as wide."""
    model = two_levels(HVAE)
    variance = 1 / (PRECISION + 1 / PRIOR.diagonal())
    A = variance[:, None] * W.T / NOISE**2
    model.encoder = affine(A, variance * C / PRIOR.diagonal() - A @ B, variance.sqrt().log(), scale)
    variance = 1 / (1 + (V[:, 0] ** 2 / SPREAD**2).sum())
    A = variance * V.T / SPREAD**2
    model.posteriors = nn.ModuleList([affine(A, -A @ C, variance.sqrt().log()[None], scale)])
    return model


def top_down(scale=1.0):
    """The exact q(z_2|x), and of z_1 what x tells alone: the merge with p(z_1|z_2) makes the exact q(z_1|x, z_2)."""
    model = two_levels(LadderVAE, batch_norm=False)
    A = W.T / NOISE**2 / PRECISION[:, None]
    first = affine(A, -A @ B, -0.5 * PRECISION.log(), scale)
    model.encoder = joined(first, identity(3))
    # x given z_2 is N(W V z_2 + W C + B, W diag(SPREAD²) W^T + NOISE²)
    covariance = W @ torch.diag(SPREAD**2) @ W.T + NOISE**2 * torch.eye(3)
    G = (W @ V).T @ torch.linalg.inv(covariance)
    variance = 1 / (1 + (G @ W @ V)[0, 0])
    model.stages = nn.ModuleList(
        [affine(variance * G, -variance * G @ (W @ C + B), variance.sqrt().log()[None], scale)]
    )
    return model


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, more of them only wait for each other
    yield
    torch.set_num_threads(threads)


BOTH = pytest.mark.parametrize("make", [bottom_up, top_down])


@BOTH
@torch.no_grad()
def test_every_weight_is_the_likelihood_where_the_posterior_is_exact(make):
    torch.manual_seed(0)
    expected = MARGINAL.log_prob(X).expand(50, 3)
    torch.testing.assert_close(make().log_weights(X, 50), expected, rtol=1e-4, atol=1e-4)


@BOTH
@torch.no_grad()
def test_bounds_of_an_inexact_posterior(make):
    """It is unbiased for p(x), its ELBO is what `posterior` and `divergence` say, and its bounds rise to log p(x)."""
    torch.manual_seed(0)
    model, k = make(scale=1.3), 40_000
    log_p = MARGINAL.log_prob(X).double()
    log_w = model.log_weights(X, k).double()
    ratio = (log_w - log_p).exp()
    stderr = ratio.std(0) / math.sqrt(k)
    assert bool(((ratio.mean(0) - 1).abs() < 5 * stderr).all())
    assert bool((stderr < 0.01).all())

    losses = torch.stack([model.loss(Batch(X.repeat(500, 1)), 1.0)["loss"] for _ in range(100)]).double()
    stderr = math.hypot(losses.std().item() / 10, log_w.mean(1).std().item() / math.sqrt(k))
    assert (losses.mean() + log_w.mean()).abs().item() < 5 * stderr < 0.05
    assert log_w.mean() < log_p.mean() - 4 * stderr

    bounds = [log_w.view(-1, j, 3).logsumexp(1).sub(math.log(j)).mean().item() for j in (1, 4, 20, 100, 500)]
    assert all(a < b for a, b in itertools.pairwise([*bounds[:2], log_p.mean().item()]))
    stderr = ratio.mean(1).std().item() / math.sqrt(k)  # of the last bound, to first order
    assert bounds[-1] == pytest.approx(log_p.mean().item(), abs=5 * stderr + ratio.var().item() / 500)


@BOTH
@torch.no_grad()
def test_the_exact_posteriors_divergence_is_that_of_the_model(make):
    """E_q[log p(x|z_1)] less the divergences is log p(x), and for the ladder each of them is a KL in closed form."""
    torch.manual_seed(0)
    model, n = make(), 100_000
    x = X[:1].expand(n, 3)
    levels = model.draw(x)
    log_likelihood = model.given_first(levels[-1].z).log_prob(x)
    terms = model.divergences(levels)
    assert [tuple(term.shape) for term in terms] == [(n, 1), (n, 2)]
    elbo = (log_likelihood - sum(term.sum(1) for term in terms)).double()
    assert abs(elbo.mean() - MARGINAL.log_prob(X[0])) < 5 * elbo.std() / math.sqrt(n)
    drawn = sum((q.log_prob(z) - p.log_prob(z)).sum(1) for q, p, z in levels).double()
    gap = drawn - sum(term.sum(1) for term in terms)
    assert abs(gap.mean()) < 5 * gap.std() / math.sqrt(n)


@torch.no_grad()
def test_a_closed_form_given_the_levels_above_would_be_wrong_upwards():
    """What `HVAE.divergences` says: z_1 is not drawn from q(z_1|x) anew once z_2 is known."""
    torch.manual_seed(0)
    model, n = bottom_up(), 100_000
    levels = model.draw(X[:1].expand(n, 3))
    q, p, _ = levels[1]
    excess = (kl_divergence(q, p) - model.divergences(levels)[1]).sum(1)
    assert excess.mean() > 0.1 > 20 * excess.std() / math.sqrt(n)


@BOTH
@torch.no_grad()
def test_samples_and_codes_follow_the_model(make):
    torch.manual_seed(0)
    model, n = make(), 200_000
    x = model.sample(n)
    error = (x.mean(0) - MARGINAL.mean) / MARGINAL.covariance_matrix.diagonal().div(n).sqrt()
    assert float(error.abs().max()) < 5
    spread = MARGINAL.covariance_matrix.diagonal()
    tolerance = 5 * (2 * torch.outer(spread, spread) / n).sqrt()
    assert bool(((x.T.cov() - MARGINAL.covariance_matrix).abs() < tolerance).all())
    # of the noise, what decodes to x is what the means upwards or downwards were made of
    z = (PRECISION * ((X - B) @ W / (W.T @ W).diagonal()) + C / PRIOR.diagonal()) / (PRECISION + 1 / PRIOR.diagonal())
    torch.testing.assert_close(model.reconstruct(X), z @ W.T + B, rtol=1e-4, atol=1e-4)


def test_merged_precision_is_the_sum_and_the_mean_is_that_of_the_product():
    torch.manual_seed(0)
    a, b = (Normal(torch.randn(5, 4), 0.2 + torch.rand(5, 4)) for _ in range(2))
    q = merged(a, b)
    torch.testing.assert_close(q.stddev**-2, a.stddev**-2 + b.stddev**-2)
    # the product of the densities is proportional to the merged one
    z = torch.linspace(-2, 2, 9)[:, None, None]
    excess = a.log_prob(z) + b.log_prob(z) - q.log_prob(z)
    torch.testing.assert_close(excess, excess[:1].expand_as(excess), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cls", [HVAE, LadderVAE])
@pytest.mark.parametrize("network", ["conv", "mlp"])
def test_one_level_is_the_vae(cls, network):
    """Bit for bit: the same weights, losses and steps from the same seed."""
    torch.manual_seed(0)
    batch = Batch(torch.randint(17, (16, 1, 8, 8)) / 16)
    states, losses = [], []
    for each, options in ((VAE, {}), (cls, {"levels": 1})):
        torch.manual_seed(1)
        model = each(DIGITS, each.Config(latent_dim=5, warmup=0.5, network=network, **options))
        model.setup(batch)
        model.train()
        losses.append([model.update(batch, progress) for progress in (0.1, 0.4, 0.9)])
        states.append(model.eval().state_dict())
        with torch.no_grad():
            torch.manual_seed(2)
            weights = model.log_weights(batch.x, 3)
            losses[-1].append({"weights": weights, "code": model.encode(batch.x), "x": model.reconstruct(batch.x)})
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    for ours, theirs in zip(*losses, strict=True):
        assert set(theirs) - set(ours) <= {"kl_1"}
        for name, value in ours.items():
            torch.testing.assert_close(theirs[name], value, rtol=0, atol=1e-4 if name == "weights" else 0)


@pytest.mark.parametrize("cls", [HVAE, LadderVAE])
@pytest.mark.parametrize("levels", [1, 2, 3])
@torch.no_grad()
def test_the_loss_is_the_negative_elbo_and_its_levels_add_up(cls, levels):
    torch.manual_seed(0)
    model = cls(DIGITS, cls.Config(levels=levels, latent_dim=4, warmup=0.5, level_hidden=16)).eval()
    x = torch.randint(17, (6, 1, 8, 8)) / 16
    scalars = [model.loss(Batch(x.repeat(20, 1, 1, 1)), 1.0) for _ in range(25)]
    for each in scalars:
        by_level = [each[f"kl_{level}"] for level in range(1, levels + 1)]
        torch.testing.assert_close(each["kl"], sum(by_level))
        torch.testing.assert_close(each["loss"], each["nll"] + each["kl"])
    half = model.loss(Batch(x), 0.25)
    torch.testing.assert_close(half["loss"], half["nll"] + 0.5 * half["kl"])
    losses = torch.stack([each["loss"] for each in scalars]).double()
    elbos = model.log_weights(x, 500).double().mean(1)
    stderr = math.hypot(losses.std().item() / math.sqrt(25), elbos.std().item() / math.sqrt(500))
    assert abs((losses.mean() + elbos.mean()).item()) < 5 * stderr
    # kl_1 is that of the level next to the data, and `divergence` lists it last
    assert [part.shape[1] for part in model.divergence(x)] == [q.mean.shape[1] for q, _ in model.posterior(x)]
    assert [part.shape[1] for part in model.divergence(x)] == list(reversed(model.sizes))

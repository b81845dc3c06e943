"""The importance-weighted autoencoder where log p(x) is known: p(x|z) = N(Wz + b, NOISE² I), so p(x) is Gaussian."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from genbench.model import Batch, DataSpec
from genbench.selftest.base import standard_errors
from genbench_vae.iwae import IWAE
from genbench_vae.vae import VAE

PLANE = DataSpec((3,), "continuous")
NOISE = 0.7
X = torch.tensor([[0.0, -1.2, 2.5], [1.0, 0.0, 1.0], [0.4, -2.0, 3.0]], dtype=torch.float64)
K = 5


def linear(cls, **options):
    """The model with linear networks, a posterior too wide and off the exact one, in float64; and its p(x)."""
    model = cls(PLANE, cls.Config(latent_dim=2, network="mlp", **options)).double().eval()
    W, b = torch.tensor([[1.0, 0.5], [0.3, 0.8], [-0.5, 0.6]]).double(), torch.tensor([0.3, -1.0, 2.0]).double()
    covariance = torch.linalg.inv(torch.eye(2) + W.T @ W / NOISE**2)
    A = 0.8 * covariance @ W.T / NOISE**2
    model.encoder, model.decoder = nn.Linear(3, 4).double(), nn.Linear(2, 6).double()
    with torch.no_grad():
        model.encoder.weight.copy_(torch.cat([A, torch.zeros(2, 3)]))
        model.encoder.bias.copy_(torch.cat([0.2 - A @ b, covariance.diagonal().sqrt().log() + 0.3]))
        model.decoder.weight.copy_(torch.cat([W, torch.zeros(3, 2)]))
        model.decoder.bias.copy_(torch.cat([b, torch.full((3,), math.log(NOISE))]))
    return model, MultivariateNormal(b, W @ W.T + NOISE**2 * torch.eye(3).double())


def gradients(model, loss):
    return torch.autograd.grad(loss, [*model.encoder.parameters(), *model.decoder.parameters()])


def test_plain_gradient_weighs_each_sample_by_its_share():
    """That of log 1/K Σ w_i is Σ v_i ∂log w_i with constant v_i = w_i / Σ_j w_j (Burda et al. 2016, section 3)."""
    model, _ = linear(IWAE, k=K)
    torch.manual_seed(1)
    log_w = model.log_weights(X, K)
    expected = gradients(model, -(log_w.detach().softmax(0) * log_w).sum(0).mean())
    torch.manual_seed(1)
    torch.testing.assert_close(gradients(model, model.loss(Batch(X), 0.0)["loss"]), expected)


def test_doubly_reparameterised_gradient_is_the_formula():
    """-Σ_i v_i² ∂log w_i/∂z_i ∂z_i/∂phi for the encoder, by hand."""
    model, _ = linear(IWAE, k=K, gradient="doubly-reparameterised")
    torch.manual_seed(1)
    [(q, _)] = model.posterior(X)
    z = q.rsample((K,))
    codes = z.detach().requires_grad_()
    log_q = -0.5 * ((codes - q.mean.detach()) / q.stddev.detach()).square() - q.stddev.detach().log()
    log_w = model.log_joint(X, codes) - log_q.sum(2)
    (slope,) = torch.autograd.grad(log_w.sum(), codes)
    v = log_w.detach().softmax(0)[:, :, None]
    expected = torch.autograd.grad(z, list(model.encoder.parameters()), grad_outputs=-(v**2) * slope / len(X))
    torch.manual_seed(1)
    torch.testing.assert_close(gradients(model, model.loss(Batch(X), 0.0)["loss"])[:2], expected)


def repeated(model, draws):
    """Independent draws of the gradient, `(draws, P)`, first the encoder's parameters, then the decoder's."""
    results = []
    for _ in range(draws):
        parts = gradients(model, model.loss(Batch(X), 0.0)["loss"])
        results.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(results)


def test_both_gradients_have_the_same_mean_and_the_doubly_reparameterised_less_noise():
    draws = 2000
    torch.manual_seed(2)
    plain, doubly = (
        repeated(linear(IWAE, k=K, gradient=name)[0], draws) for name in ("plain", "doubly-reparameterised")
    )
    stderr = ((plain.var(0) + doubly.var(0)) / draws).sqrt()
    assert bool(((plain.mean(0) - doubly.mean(0)).abs() < 5 * stderr + 1e-12).all())
    encoder = slice(0, 4 * 3 + 4)
    # the means are no zeros among which any two would be the same
    assert int((plain.mean(0)[encoder].abs() > 4 * stderr[encoder]).sum()) > 8
    assert float(doubly.var(0)[encoder].sum()) < 0.1 * float(plain.var(0)[encoder].sum())


def test_one_sample_is_the_elbo_with_its_divergence_estimated():
    """Loss and plain gradient of K = 1 have the mean of the VAE's, whose divergence is in closed form."""
    draws = 1000
    torch.manual_seed(3)
    iwae, vae = linear(IWAE, k=1)[0], linear(VAE)[0]
    with torch.no_grad():
        one, closed = (torch.stack([model.loss(Batch(X), 1.0)["loss"] for _ in range(draws)]) for model in (iwae, vae))
    stderr = math.sqrt((float(one.var()) + float(closed.var())) / draws)
    assert float(one.mean()) == pytest.approx(float(closed.mean()), abs=5 * stderr)
    assert float((one - closed).abs().max()) > 10 * stderr  # in the mean alone
    one, closed = repeated(iwae, draws), repeated(vae, draws)
    stderr = ((one.var(0) + closed.var(0)) / draws).sqrt()
    assert bool(((one.mean(0) - closed.mean(0)).abs() < 5 * stderr + 1e-12).all())


@torch.no_grad()
def test_bound_rises_with_k_to_the_likelihood():
    copies = 4000
    losses = []
    for k in (1, 4, 16):  # that of 64 is nearer to log p than its error
        model, density = linear(IWAE, k=k)
        log_p = float(density.log_prob(X).mean())
        torch.manual_seed(4)
        parts = torch.stack([model.loss(Batch(X.repeat(copies // 20, 1)), 0.0)["loss"] for _ in range(20)])
        losses.append((float(parts.mean()), float(parts.std()) / math.sqrt(20)))
    for (low, low_error), (high, high_error) in itertools.pairwise([*losses, (-log_p, 0.0)]):
        assert low - high > 4 * math.hypot(low_error, high_error)
    # to first order the bound misses by Var(w)/(2 K p(x)²)
    k = 2000
    model, _ = linear(IWAE, k=k)
    torch.manual_seed(5)
    ratio = (model.log_weights(X, 100_000) - density.log_prob(X)).exp()
    miss = float(ratio.var(0).mean()) / (2 * k)
    parts = torch.stack([model.loss(Batch(X.repeat(5, 1)), 0.0)["loss"] for _ in range(20)])
    assert float(parts.mean()) + log_p == pytest.approx(
        miss, abs=standard_errors(19) * float(parts.std()) / math.sqrt(20)
    )
    assert miss < 0.01

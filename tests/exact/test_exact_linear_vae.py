"""The linear VAE against probabilistic PCA (Tipping & Bishop 1999) and against integrals of its Gaussian density."""

import itertools
import math

import pytest
import torch
from scipy.linalg import subspace_angles
from scipy.stats import multivariate_normal, norm

from genbench.model import Batch, DataSpec
from genbench_ae.ppca import PPCA
from genbench_vae.linear_vae import LinearVAE

DIMS, CODE = 6, 2
#: What the loss is multiplied by in the search: torch's L-BFGS learns nothing from steps whose product with the change
#: of the gradient is below 1e-10, and stands still there.
SCALE = 1e6


def points(n=200):
    torch.manual_seed(0)
    spread = torch.tensor([3.0, 2.0, 0.8, 0.6, 0.5, 0.4], dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(DIMS, DIMS, dtype=torch.float64))[0]
    return torch.randn(n, DIMS, dtype=torch.float64) * spread @ rotation + torch.arange(DIMS)


@pytest.fixture(scope="module")
def optimum():
    """The model where its ELBO on `points()` is largest, from a random start, and that ELBO."""
    x = points()
    torch.manual_seed(1)
    model = LinearVAE(DataSpec((DIMS,), "continuous"), LinearVAE.Config(latent_dim=CODE)).double()
    model.setup(Batch(x))
    parameters = list(model.parameters())
    search = torch.optim.LBFGS(
        parameters, max_iter=2000, tolerance_grad=1e-9 * SCALE, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss():
        search.zero_grad()
        value = SCALE * model.loss(Batch(x), 1.0)["loss"]
        value.backward()
        return value

    search.step(loss)
    assert max(float(parameter.grad.abs().max()) for parameter in parameters) < 1e-6 * SCALE
    return model.eval(), -loss().item() / SCALE


@pytest.fixture(scope="module")
def ppca():
    model = PPCA(DataSpec((DIMS,), "continuous"), PPCA.Config(latent_dim=CODE))
    model.update(Batch(points()), 0.0)
    return model


def test_optimum_is_the_likelihood_of_ppca(optimum, ppca):
    model, elbo = optimum
    known = float(ppca.log_prob(points()).mean())
    assert elbo == pytest.approx(known, abs=1e-8)
    assert float(model.log_noise.exp().detach()) == pytest.approx(float(ppca.noise.sqrt()), abs=1e-5)
    torch.testing.assert_close(model.mean.detach(), points().mean(0), rtol=0, atol=1e-5)


@torch.no_grad()
def test_columns_are_principal_axes(optimum, ppca):
    """They span the principal subspace, and as a diagonal posterior is exact for orthogonal columns alone, they are the
    axes themselves, up to their order and signs, of ppca's lengths."""
    W = optimum[0].decoder.weight
    assert float(subspace_angles(W.numpy(), ppca.components.T.numpy()).max()) < 1e-4
    products = W.T @ W
    assert float(products[0, 1].abs()) < 1e-4 * float(products.diagonal().min())
    lengths = (ppca.variances - ppca.noise).sqrt()
    torch.testing.assert_close(products.diagonal().sqrt().sort(descending=True)[0], lengths, rtol=1e-5, atol=0)


@torch.no_grad()
def test_posterior_at_the_optimum_is_exact(optimum, ppca):
    """Every weight is then log p(x), whatever the draw, also at points that were not trained on."""
    x = points() + 0.5
    weights = optimum[0].log_weights(x, 20)
    torch.testing.assert_close(weights, ppca.log_prob(x).expand(20, -1), rtol=0, atol=1e-4)
    torch.testing.assert_close(optimum[0].reconstruct(x), ppca.reconstruct(x).double(), rtol=0, atol=1e-4)


def off_the_optimum(data, latent_dim):
    torch.manual_seed(2)
    model = LinearVAE(data, LinearVAE.Config(latent_dim=latent_dim)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
        model.log_noise.sub_(1.5)
    return model


@torch.no_grad()
@pytest.mark.parametrize("data", [DataSpec((4,), "continuous"), DataSpec((4,), "discrete", 5)], ids=["real", "levels"])
def test_loss_is_minus_the_mean_weight(data):
    """The expectations in closed form against draws, and the divergence against that of the posterior."""
    model = off_the_optimum(data, 3)
    n = 100_000
    x = (torch.tensor([[0.25, 0.0, 1.0, 0.5]]).double()).expand(n, -1)
    weights = model.log_weights(x, 1)[0]
    # discrete data is dequantised anew for each point
    losses = torch.stack([model.loss(Batch(x[:1]), 1.0)["loss"] for _ in range(3000 if data.levels else 2)])
    stderr = math.hypot(float(weights.std()) / n**0.5, float(losses.std()) / len(losses) ** 0.5)
    assert float(weights.mean()) == pytest.approx(-float(losses.mean()), abs=5 * stderr)


@torch.no_grad()
def test_mean_weight_is_the_probability_of_a_bin():
    """∫ p(u) over the bin, with p(u) = N(m, WWᵀ + s²I), for every point of a plane of three levels."""
    data = DataSpec((2,), "discrete", 3)
    model = off_the_optimum(data, 1)
    model.mean.copy_(torch.tensor([0.4, 0.6]))
    W = model.decoder.weight
    density = multivariate_normal(model.mean.numpy(), (W @ W.T + (2 * model.log_noise).exp() * torch.eye(2)).numpy())
    x = torch.tensor(list(itertools.product((0.0, 0.5, 1.0), repeat=2)), dtype=torch.float64)
    n = 40_000
    weights = model.log_weights(x, n).exp()
    mean, stderr = weights.mean(0), weights.std(0) / n**0.5
    for point, value, error in zip(x, mean, stderr, strict=True):
        low = torch.floor(point * 2 + 0.1) / 3
        box = density.cdf((low + 1 / 3).numpy(), lower_limit=low.numpy())
        assert float(value) == pytest.approx(float(box), abs=5 * float(error))
        assert float(error) < 0.1 * float(box)


@torch.no_grad()
def test_observation_is_the_mass_that_samples_have():
    """Of p(u|z) in each bin, where what lies beyond the outermost belongs to them."""
    data = DataSpec((1,), "discrete", 4)
    model = off_the_optimum(data, 2)
    z = torch.tensor([[0.3, -1.2]]).double()
    normal = norm(float(model.decoder(z) + model.mean), float(model.log_noise.exp()))
    edges = [-math.inf, 0.25, 0.5, 0.75, math.inf]
    known = torch.tensor([normal.cdf(b) - normal.cdf(a) for a, b in itertools.pairwise(edges)], dtype=torch.float64)
    x = torch.arange(4, dtype=torch.float64)[:, None] / 3
    p = model.observation(z.expand(4, 2))
    torch.testing.assert_close(p.log_prob(x).exp(), known, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(model.decode(z), torch.tensor([[(normal.mean() * 4 - 0.5) / 3]]).double())

"""The variational family against closed forms and full enumeration."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from genbench.model import Batch, DataSpec, observe
from genbench_vae.codebook import Codebook, perplexity
from genbench_vae.marginal import marginal_parameters
from genbench_vae.pixelcnn import GatedPixelCNN
from genbench_vae.vae import VAE
from genbench_vae.vqvae import VQVAE

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
    assert bool(((ratio.mean(0) - 1).abs() < 4 * stderr).all())
    assert bool((stderr < 0.02).all())

    q = MultivariateNormal((X - B) @ (0.9 * A).T, torch.diag(s**2))
    gap = kl_divergence(q, MultivariateNormal((X - B) @ A.T, S))  # log p - ELBO
    stderr = log_w.std(0) / math.sqrt(k)
    assert bool(((log_w.mean(0) - (log_p - gap)).abs() < 4 * stderr).all())
    assert bool((gap > 20 * stderr).all())

    bounds = [log_w.view(-1, j, 3).logsumexp(1).sub(math.log(j)).mean(0) for j in (1, 4, 16, 64)]
    assert all(bool((a < b).all()) for a, b in itertools.pairwise([*bounds, log_p]))


@torch.no_grad()
def test_loss_is_the_negative_elbo_with_the_divergence_in_closed_form():
    torch.manual_seed(0)
    data = DataSpec((1, 4, 4), "discrete", levels=5)
    model = VAE(data, VAE.Config(latent_dim=3)).eval()
    x = torch.randint(5, (6, 1, 4, 4)) / 4
    scalars = model.loss(Batch(x), 1.0)
    mean, log_std = model._posterior(x)
    q = Independent(Normal(mean, log_std.exp()), 1)
    torch.testing.assert_close(scalars["kl"], kl_divergence(q, model.prior()).mean())
    torch.testing.assert_close(scalars["loss"], scalars["nll"] + scalars["kl"])
    losses = torch.stack([model.loss(Batch(x), 1.0)["loss"] for _ in range(500)])
    elbos = model.log_weights(x, 4000).mean(1)
    stderr = math.hypot(losses.std() / 500**0.5, elbos.std() / 4000**0.5)
    assert float(losses.mean() + elbos.mean()) == pytest.approx(0, abs=4 * stderr)


@torch.no_grad()
def test_weight_of_the_divergence_follows_the_budget():
    data = DataSpec((5,), "binary", levels=2)
    x = torch.ones(4, 5)
    model = VAE(data, VAE.Config(latent_dim=2, beta=3.0, warmup=0.5))
    for progress, weight in ((0.0, 0.0), (0.25, 1.5), (0.5, 3.0), (1.0, 3.0)):
        scalars = model.loss(Batch(x), progress)
        torch.testing.assert_close(scalars["loss"], scalars["nll"] + weight * scalars["kl"])


@pytest.mark.parametrize("kind", ["binary", "discrete", "continuous"])
def test_marginal_parameters_have_the_datas_mean_and_spread(kind):
    torch.manual_seed(0)
    levels = {"binary": 2, "discrete": 256, "continuous": None}[kind]
    data = DataSpec((2, 2, 3), kind, levels=levels)
    x = torch.rand(500, 2, 2, 3) * 0.2 + 0.4
    if levels:
        x = torch.round(x * (levels - 1)) / (levels - 1)
    p = observe(data, marginal_parameters(data, x).expand(4000, -1, -1, -1))
    torch.testing.assert_close(p.mean[0], x.mean(0))
    if kind != "binary":
        spread = x.std(0, unbiased=False)
        # a standard deviation is off by at most sqrt(kurtosis excess + 2)/(2 sqrt(n)) of itself: 1.02/sqrt(n) here
        assert bool(((p.sample().std(0) / spread - 1).abs() < 4.5 * 1.02 / 4000**0.5).all())


# --- vector quantisation ---------------------------------------------------------------------------------------------

IMAGES = DataSpec((1, 4, 4), "discrete", levels=5)


def tiny(data=IMAGES, **options):
    """A model with three codes on a 2x2 grid, moved away from its start at zero."""
    torch.manual_seed(0)
    model = VQVAE(data, VQVAE.Config(codes=3, code_dim=2, width=4, prior_width=8, prior_layers=2, **options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def every_grid(size, height, width):
    return torch.tensor(list(itertools.product(range(size), repeat=height * width))).view(-1, height, width)


def images(n=10):
    torch.manual_seed(1)
    return torch.randint(5, (n, 1, 4, 4)) / 4


def test_nearest_is_brute_force():
    torch.manual_seed(0)
    book = Codebook(7, 3, 0.1)
    z = torch.randn(5, 3, 4, 6)
    codes = book.nearest(z)
    for b, i, j in itertools.product(range(5), range(4), range(6)):
        distances = [float((z[b, :, i, j] - vector).norm()) for vector in book.vectors]
        assert int(codes[b, i, j]) == distances.index(min(distances))
    assert torch.equal(book(codes)[2, :, 1, 3], book.vectors[codes[2, 1, 3]])


def test_gradient_passes_straight_through():
    """d log p(x|e)/dz as the model computes it is d log p(x|e)/de, and the decoder sees e itself."""
    model = tiny(commitment=0.0)
    x = images()
    outputs = []
    model.encoder.register_forward_hook(lambda _module, _input, z: outputs.append(z) or z.retain_grad())
    scalars = model.loss(Batch(x), 1.0)
    scalars["nll"].backward()
    (z,) = outputs
    e = model.codebook(model.codebook.nearest(z)).requires_grad_()
    nll = -model.observation(e).log_prob(x).mean()
    nll.backward()
    torch.testing.assert_close(scalars["nll"], nll)
    assert float(e.grad.norm()) > 0
    torch.testing.assert_close(z.grad, e.grad, rtol=1e-4, atol=1e-6)


def test_prior_trains_only_itself_and_commitment_only_the_encoder():
    model = tiny(commitment=1.0)
    x = images()
    scalars = model.loss(Batch(x), 1.0)
    encoder, prior = list(model.encoder.parameters()), list(model.prior.parameters())
    rates = torch.autograd.grad(scalars["rate"], [*encoder, *prior], allow_unused=True, retain_graph=True)
    assert all(gradient is None for gradient in rates[: len(encoder)])
    assert any(float(gradient.norm()) > 0 for gradient in rates[len(encoder) :] if gradient is not None)
    commitment = scalars["loss"] - scalars["nll"] - scalars["rate"]
    z = model.encoder(x)
    expected = (z - model.codebook(model.codebook.nearest(z))).square().sum() / len(x)
    torch.testing.assert_close(commitment, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_loss_does_not_depend_on_the_batchs_size():
    model = tiny()
    x = images()
    torch.testing.assert_close(model.loss(Batch(x), 1.0), model.loss(Batch(x.repeat(3, 1, 1, 1)), 1.0))


def test_without_decay_the_vectors_are_centroids():
    torch.manual_seed(0)
    book = Codebook(4, 2, 1e-6)
    z = torch.randn(8, 2, 5, 5)
    codes = book.nearest(z)
    assert len(codes.unique()) == 4
    book.follow(z, codes, 1.0)
    rows = z.permute(0, 2, 3, 1)
    for code in range(4):
        torch.testing.assert_close(book.vectors[code], rows[codes == code].mean(0))


def test_averages_move_by_the_weight():
    torch.manual_seed(0)
    book = Codebook(2, 1, 1e-6)
    z = torch.tensor([1.0, 1.0, 1.0, 5.0]).view(1, 1, 2, 2)
    book.start(z)
    book.vectors.copy_(torch.tensor([[1.0], [4.0]]))
    book.sums.copy_(book.vectors * book.counts[:, None])
    book.follow(z, book.nearest(z), 0.25)
    torch.testing.assert_close(book.counts, torch.tensor([0.75 * 2 + 0.25 * 3, 0.75 * 2 + 0.25 * 1]))
    torch.testing.assert_close(book.vectors[1, 0], torch.tensor((0.75 * 8 + 0.25 * 5) / 1.75))


def test_dead_vectors_are_put_on_outputs():
    torch.manual_seed(0)
    book = Codebook(3, 2, 0.1)
    book.vectors.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [1e3, 1e3]]))
    book.counts.fill_(4.0)
    book.sums.copy_(4 * book.vectors)
    z = torch.rand(2, 2, 3, 3)
    steps = 0
    while float(book.vectors[2].norm()) > 10:
        book.follow(z, book.nearest(z), 0.1)
        steps += 1
        assert steps < 100
    rows = z.permute(0, 2, 3, 1).reshape(-1, 2)
    assert float((rows - book.vectors[2]).norm(dim=1).min()) < 1e-6
    # its count of 4 falls by a tenth a step to below a tenth of the average, 18/3
    assert steps == math.ceil(math.log(0.6 / 4) / math.log(0.9))


def test_the_codebook_starts_on_different_outputs():
    torch.manual_seed(0)
    book = Codebook(9, 2, 0.1)
    z = torch.randn(1, 2, 3, 3)
    book.start(z)
    assert len(book.nearest(z).unique()) == 9


def test_perplexity():
    assert float(perplexity(torch.zeros(2, 3, 3, dtype=torch.long), 5)) == pytest.approx(1)
    assert float(perplexity(torch.arange(5).repeat(4), 5)) == pytest.approx(5)
    assert float(perplexity(torch.tensor([0, 0, 1, 1]), 5)) == pytest.approx(2)


@pytest.mark.parametrize(("size", "height", "width"), [(3, 2, 2), (2, 3, 2), (2, 1, 5), (2, 5, 1), (4, 1, 1)])
@torch.no_grad()
def test_prior_sums_to_one(size, height, width):
    torch.manual_seed(0)
    prior = GatedPixelCNN(size, (height, width), 8, 2, 0.0).eval()
    log_p = prior.log_prob(every_grid(size, height, width)).double()
    assert float(log_p.logsumexp(0)) == pytest.approx(0, abs=1e-5)
    assert float(log_p.std()) > 0.01


@torch.no_grad()
def test_prior_sees_all_that_is_before_and_nothing_else():
    """A changed code changes the logits of every later position (enough layers leave no blind spot) and no other."""
    torch.manual_seed(0)
    height, width = 3, 4
    prior = GatedPixelCNN(5, (height, width), 16, 4, 0.0).eval()
    codes = torch.randint(5, (1, height, width))
    logits = prior(codes).flatten(2)
    for position in range(height * width):
        changed = codes.flatten(1).clone()
        changed[0, position] = (changed[0, position] + 1) % 5
        difference = (prior(changed.view(1, height, width)).flatten(2) - logits).abs().sum(1)[0]
        assert bool((difference[: position + 1] == 0).all())
        assert bool((difference[position + 1 :] > 0).all())


@torch.no_grad()
def test_prior_samples_from_the_distribution_that_it_scores(monkeypatch):
    """The stepwise evaluation that sampling uses finds the probabilities of the one pass that scoring uses."""
    torch.manual_seed(0)
    prior = GatedPixelCNN(5, (3, 4), 8, 3, 0.5).eval()
    seen, multinomial = [], torch.multinomial
    monkeypatch.setattr(torch, "multinomial", lambda p, n: seen.append(p) or multinomial(p, n))
    codes = prior.sample(6)
    expected = prior(codes).softmax(1).flatten(2).unbind(2)
    assert len(seen) == len(expected) == 12
    for stepwise, at_once in zip(seen, expected, strict=True):
        torch.testing.assert_close(stepwise, at_once)


@torch.no_grad()
def test_log_weights_are_one_term_of_the_sum_over_codes():
    model = tiny()
    x = images()
    grids = every_grid(3, 2, 2)
    log_prior = model.prior.log_prob(grids)
    p = model.observation(model.codebook(grids))
    terms = torch.stack([log_prior + p.log_prob(point.expand(len(grids), -1, -1, -1)) for point in x])
    codes = model.codebook.nearest(model.encoder(x))
    chosen = [int((grids == grid).all((1, 2)).nonzero()) for grid in codes]
    bound = model.log_weights(x, 3)
    torch.testing.assert_close(bound, terms[range(len(x)), chosen].expand(3, -1), rtol=1e-5, atol=1e-5)
    assert bool((bound[0] < terms.logsumexp(1)).all())
    torch.testing.assert_close(model.validation_loss(Batch(x)), -bound.mean())


@torch.no_grad()
def test_bound_sums_to_at_most_one_over_all_data():
    data = DataSpec((1, 3, 3), "binary", levels=2)
    model = tiny(data)
    x = every_grid(2, 3, 3)[:, None].float()
    total = float(model.log_weights(x, 1).double().logsumexp(1))
    assert total < 0
    grids = every_grid(3, 2, 2)
    p = model.observation(model.codebook(grids))
    log_p = torch.stack(
        [(model.prior.log_prob(grids) + p.log_prob(point.expand(81, 1, 3, 3))).logsumexp(0) for point in x]
    )
    assert float(log_p.double().logsumexp(0)) == pytest.approx(0, abs=1e-4)

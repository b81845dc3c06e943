"""The vector-quantised autoencoder against brute force, closed forms and full enumeration."""

import itertools
import math

import pytest
import torch

from genbench.model import Batch, DataSpec
from genbench_vae.codebook import Codebook, occurrences, perplexity, usage
from genbench_vae.pixelcnn import GatedPixelCNN
from genbench_vae.vqvae import VQVAE

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
    torch.testing.assert_close(z.grad, e.grad, rtol=1e-3, atol=1e-4)


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


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_loss_and_commitment_do_not_depend_on_the_batchs_size(codebook):
    """The same points twice are the same loss per point, and the same gradient of each of its terms."""
    model = tiny(codebook=codebook, commitment=5.0)
    x = images()
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    once, twice = (model.loss(Batch(batch), 1.0) for batch in (x, x.repeat(2, 1, 1, 1)))
    assert float((once["loss"] - once["nll"] - once["rate"]).detach()) > 1
    torch.testing.assert_close(once, twice)
    for a, b in zip(*(torch.autograd.grad(scalars["loss"], learnt) for scalars in (once, twice)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4 * float(a.abs().max()))  # a sum rounds as its largest term


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
    book.follow(z, book.nearest(z), 0.25)
    torch.testing.assert_close(book.counts, torch.tensor([0.75 * 2 + 0.25 * 3, 0.75 * 2 + 0.25 * 1]))
    torch.testing.assert_close(book.vectors[1, 0], torch.tensor((0.75 * 8 + 0.25 * 5) / 1.75))


@pytest.mark.parametrize("averaged", [True, False])
@torch.no_grad()
def test_dead_vectors_are_put_on_outputs(averaged):
    torch.manual_seed(0)
    book = Codebook(3, 2, 0.1, averaged=averaged)
    book.vectors.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [1e3, 1e3]]))
    book.counts.fill_(4.0)
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
    assert float(book.counts[2]) == 6
    if not averaged:
        assert torch.equal(book.vectors[:2], torch.tensor([[0.0, 0.0], [1.0, 1.0]]))


def test_a_gradient_trains_the_codebook_on_its_own_term_only():
    """d/dv of |sg(z) - e|², summed over the grid and averaged over the batch, is 2/B times the sum of v - z over the
    outputs z that are v's; half of B over their number of it away is their centroid."""
    model, x = tiny(codebook="gradient"), images()
    model.codebook.start(model.encoder(x))
    vectors = model.codebook.vectors
    scalars = model.loss(Batch(x), 1.0)
    assert torch.autograd.grad(scalars["nll"] + scalars["rate"], vectors, retain_graph=True, allow_unused=True) == (
        None,
    )
    (gradient,) = torch.autograd.grad(scalars["loss"], vectors, retain_graph=True)
    z = model.encoder(x)
    codes = model.codebook.nearest(z)
    counts = occurrences(codes, 3)
    assert bool((counts > 0).all())
    rows = z.detach().permute(0, 2, 3, 1)
    centroids = torch.stack([rows[codes == code].mean(0) for code in range(3)])
    stepped = vectors.detach() - gradient * len(x) / (2 * counts[:, None])
    torch.testing.assert_close(stepped, centroids, rtol=1e-4, atol=1e-5)

    # the encoder learns what it does beside a codebook of averages
    averaged = tiny()
    averaged.load_state_dict(model.state_dict())
    others = averaged.loss(Batch(x), 1.0)
    for ours, theirs in zip(
        torch.autograd.grad(scalars["loss"], list(model.encoder.parameters())),
        torch.autograd.grad(others["loss"], list(averaged.encoder.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    term = (z - model.codebook(codes)).square().sum() / len(x)
    torch.testing.assert_close(scalars["loss"] - others["loss"], term, rtol=1e-4, atol=1e-4)


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
    assert float(perplexity(torch.tensor([0, 0, 0, 1]), 2)) == pytest.approx(4 / 3**0.75)


@pytest.mark.parametrize("size", [1, 3, 64])
def test_perplexity_is_at_least_one_and_at_most_the_codes_in_use(size):
    torch.manual_seed(0)
    for n in (1, 5, 200):
        codes = (size * torch.rand(n, 2, 2) ** 2).long()
        found = float(perplexity(codes, size))
        assert 1 - 1e-5 <= found <= float(usage(codes, size)) * size + 1e-4


def test_usage():
    codes = torch.tensor([[[0, 2], [2, 2]], [[4, 0], [0, 0]]])
    assert occurrences(codes, 6).tolist() == [4, 0, 3, 0, 1, 0]
    assert float(usage(codes, 6)) == 0.5


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
def test_a_uniform_prior_costs_the_codes_their_number():
    """With a prior that is uniform, the bound is log p(x|e) - T log K; and log p(x|e) is above it for every prior."""
    model = tiny()
    x = images()
    codes = model.codes(x)
    assert codes.shape == (len(x), 4)
    log_likelihood = model.log_likelihood(x, codes)
    e = model.codebook(model.codebook.nearest(model.encoder(x)))
    assert torch.equal(log_likelihood, model.observation(e).log_prob(x))
    assert bool((model.log_weights(x, 1)[0] < log_likelihood).all())
    model.prior.head.weight.zero_()
    model.prior.head.bias.fill_(0.7)
    uniform = log_likelihood - 4 * math.log(model.codebook_size)
    torch.testing.assert_close(model.log_weights(x, 1)[0], uniform)


def test_before_the_priors_stage_the_loss_has_the_uniform_priors_rate():
    """The loss of the first stage is, but for the commitment, the bound that the uniform prior has."""
    model = tiny(prior_share=0.5, commitment=0.0)
    x = images()
    scalars = model.loss(Batch(x), 0.25)
    with torch.no_grad():
        bound = model.log_likelihood(x, model.codes(x)) - 4 * math.log(3)
    torch.testing.assert_close(scalars["loss"].detach(), -bound.mean())
    gradients = torch.autograd.grad(scalars["loss"], list(model.prior.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in gradients)
    # and that of the second is the cost of the codes, of which nothing but the prior has a gradient
    rate = model.loss(Batch(x), 0.75)["loss"]
    torch.testing.assert_close(rate, -model.prior.log_prob(model.codebook.nearest(model.encoder(x))).mean())
    learnt = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    reached = {
        name
        for name, parameter in model.named_parameters()
        if name in learnt and torch.autograd.grad(rate, parameter, retain_graph=True, allow_unused=True)[0] is not None
    }
    assert reached == {name for name in learnt if name.startswith("prior.")}


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

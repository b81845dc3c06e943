"""The semi-supervised VAE against sums over labels and all images, and quadrature over its code."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import kl_divergence

from genbench.model import Batch, DataSpec
from genbench_vae.ssvae import SSVAE

CLASSES, PIXELS = 3, 4
DATA = DataSpec((PIXELS,), "binary", 2, CLASSES)
IMAGES = torch.cartesian_prod(*[torch.arange(2.0)] * PIXELS)
LABELS = torch.arange(len(IMAGES)) % CLASSES


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, more of them only wait for each other
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def tiny(**options):
    """A model with a code of one dimension, whose decoder and classifier have large weights."""
    model = SSVAE(DATA, SSVAE.Config(latent_dim=1, hidden=8, dropout=0, labels=CLASSES, **options)).eval()
    with torch.no_grad():
        for parameter in (*model.decoder.parameters(), *model.classifier.parameters()):
            parameter.mul_(3)
    model.setup(Batch(IMAGES, LABELS))
    return model


def quadrature(model):
    """For all images: log p(x, y) and E_q(z|x,y)[log p(x, z, y) - log q(z|x, y)], `(16, CLASSES)` float64 each."""
    z = torch.linspace(-9, 9, 1801)
    step = 18 / 1800
    exact, bounds = [], []
    for label in range(CLASSES):
        y = torch.full((len(z),), label)
        log_px = torch.stack([model.observation(z[:, None], y).log_prob(x.expand(len(z), -1)) for x in IMAGES], dim=1)
        log_pz = -0.5 * (z.double() ** 2 + math.log(2 * math.pi))
        log_joint = log_px.double() + log_pz[:, None] - math.log(CLASSES)
        q = model.infer(model.features(IMAGES), torch.full((len(IMAGES),), label))
        log_q = q.log_prob(z[:, None, None])[..., 0].double()
        exact.append(log_joint.logsumexp(0) + math.log(step))
        bounds.append((log_q.exp() * (log_joint - log_q)).sum(0) * step)
    return torch.stack(exact, dim=1), torch.stack(bounds, dim=1)


def of_mean(draws):
    """Mean and standard error over the first dimension."""
    return draws.mean(0), draws.std(0) / math.sqrt(len(draws))


@torch.no_grad()
def test_all_images_and_labels_together_have_probability_one():
    log_joint, _ = quadrature(tiny())
    assert float(log_joint.flatten().logsumexp(0)) == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(log_joint.logsumexp(0).exp(), torch.full((CLASSES,), 1 / 3, dtype=torch.float64))


@torch.no_grad()
def test_weights_have_the_mean_p_of_x_and_bounds_rise_to_it():
    model = tiny()
    log_p = quadrature(model)[0].logsumexp(1)
    k = 40_000
    log_w = model.log_weights(IMAGES, k).double()
    mean, stderr = of_mean((log_w - log_p).exp())
    assert bool(((mean - 1).abs() < 5 * stderr).all())
    assert bool((stderr < 0.02).all())
    bounds = [log_w.view(-1, j, len(IMAGES)).logsumexp(1).sub(math.log(j)).mean() for j in (1, 4, 16)]
    assert all(float(a) < float(b) for a, b in itertools.pairwise(bounds))
    assert float(bounds[1]) < float(log_p.mean())


@torch.no_grad()
def test_weights_do_not_depend_on_the_classifier():
    model = tiny()
    torch.manual_seed(1)
    before = model.log_weights(IMAGES, 5)
    model.classifier[-1].bias.copy_(torch.tensor([5.0, 0.0, -5.0]))
    torch.manual_seed(1)
    assert torch.equal(model.log_weights(IMAGES, 5), before)


@torch.no_grad()
def test_weights_of_a_label_have_the_mean_p_of_x_given_it():
    model = tiny()
    log_p = quadrature(model)[0].gather(1, LABELS[:, None])[:, 0] + math.log(CLASSES)
    mean, stderr = of_mean((model.log_weights(IMAGES, 40_000, LABELS).double() - log_p).exp())
    assert bool(((mean - 1).abs() < 5 * stderr).all())
    assert bool((stderr < 0.03).all())


@torch.no_grad()
def test_the_labelled_loss_is_equation_6():
    """L(x, y), a bound on -log p(x, y) that misses by KL(q || p(z|x, y))."""
    model = tiny()
    log_joint, bounds = quadrature(model)
    features = model.features(IMAGES)
    for label in range(CLASSES):
        y = torch.full((len(IMAGES),), label)
        mean, stderr = of_mean(torch.stack([model.labelled(IMAGES, features, y, 1.0) for _ in range(500)]).double())
        assert bool(((mean + bounds[:, label]).abs() < 5 * stderr).all())
    assert bool((bounds < log_joint).all())


@torch.no_grad()
def test_the_unlabelled_loss_is_equation_7():
    """U(x), whose sum over labels is exact, a bound on -log p(x)."""
    model = tiny()
    log_joint, bounds = quadrature(model)
    features = model.features(IMAGES)
    q = model.classifier(features).double().softmax(1)
    entropy = -(q * q.log()).sum(1)
    expected = -(q * bounds).sum(1) - entropy
    mean, stderr = of_mean(torch.stack([model.unlabelled(IMAGES, features, 1.0) for _ in range(1000)]).double())
    assert bool(((mean - expected).abs() < 5 * stderr).all())
    assert bool((expected > -log_joint.logsumexp(1)).all())
    assert float(entropy.max()) > 0.3  # the entropy matters


@torch.no_grad()
def test_the_loss_is_the_mean_over_points_and_alpha_times_the_classification_error(monkeypatch):
    model = tiny(alpha=7.0)
    monkeypatch.setattr(model, "unlabelled", lambda x, features, weight: x.sum(1))
    monkeypatch.setattr(model, "labelled", lambda x, features, y, weight: 100 * x.sum(1) + y)
    drawn = torch.tensor([2, 0])
    monkeypatch.setattr(torch, "randint", lambda high, size, device: drawn[: size[0]])
    scalars = model.loss(Batch(IMAGES), 1.0)
    x, y = model.labelled_x[drawn], model.labelled_y[drawn]
    mean = (IMAGES.sum() + (100 * x.sum(1) + y).sum()) / (16 + 2)
    error = F.cross_entropy(model.classifier(model.features(x)), y)
    torch.testing.assert_close(scalars["classification"], error)
    torch.testing.assert_close(scalars["loss"], mean + 7 * error)


@torch.no_grad()
def test_beta_and_warm_up_weigh_the_divergence():
    model = tiny(beta=4.0, warmup=0.5)
    seen = []
    unlabelled = model.unlabelled
    model.unlabelled = lambda x, features, weight: seen.append(weight) or unlabelled(x, features, weight)
    for progress in (0.0, 0.25, 0.5, 1.0):
        model.loss(Batch(IMAGES), progress)
    model.validation_loss(Batch(IMAGES))
    assert seen == [0.0, 2.0, 4.0, 4.0, 4.0]
    features = model.features(IMAGES)
    torch.manual_seed(1)
    once = model.labelled(IMAGES, features, LABELS, 1.0)
    torch.manual_seed(1)
    more = model.labelled(IMAGES, features, LABELS, 3.0)
    q = model.infer(features, LABELS)
    torch.testing.assert_close(more - once, 2 * kl_divergence(q, model.prior(LABELS)).sum(1), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_samples_have_the_probabilities_of_the_images():
    model = tiny()
    log_joint, _ = quadrature(model)
    n = 40_000
    powers = 2 ** torch.arange(PIXELS - 1, -1, -1)
    for y, probability in (
        (None, log_joint.logsumexp(1).exp()),
        (torch.full((n,), 1), (log_joint[:, 1] + math.log(CLASSES)).exp()),
    ):
        share = torch.bincount((model.sample(n, y).long() * powers).sum(1), minlength=16).double() / n
        assert bool(((share - probability).abs() < 5 * (probability * (1 - probability) / n).sqrt()).all())


def test_unlabelled_data_alone_brings_the_classifier_near_the_posterior_over_labels():
    """With q exact enough, training brings q(y|x) near p(y|x) by U(x) alone: alpha = 0, on data that the model made."""
    model = tiny(alpha=0.0, learning_rate=1e-2)
    for network in (model.decoder, model.features):
        network.requires_grad_(False)
    model.marginal.requires_grad_(False)

    def divergence():
        with torch.no_grad():
            log_posterior = quadrature(model)[0].log_softmax(1)
            return float((log_posterior.exp() * (log_posterior - model.class_log_probs(IMAGES))).sum(1).mean())

    before = divergence()
    for step in range(600):
        model.update(Batch(IMAGES.repeat(4, 1)), step / 600)
    assert divergence() < 0.3 * before

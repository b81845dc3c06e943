import math

import pytest
import torch
from pydantic import ValidationError

from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_vae.beta_vae import BetaVAE
from genbench_vae.iwae import IWAE
from genbench_vae.vae import VAE

DIGITS = DataSpec((1, 8, 8), "discrete", levels=17)


def data_points(n=12):
    torch.manual_seed(0)
    return torch.randint(17, (n, 1, 8, 8)) / 16


def build(cls, data=DIGITS, **options):
    torch.manual_seed(1)
    return cls(data, cls.Config(width=4, latent_dim=3, **options))


def trained(model, steps=4):
    """The losses of a few updates."""
    batch = Batch(data_points())
    model.setup(batch)
    model.train()
    torch.manual_seed(2)
    return [float(model.update(batch, step / steps)["loss"]) for step in range(steps)]


@pytest.mark.parametrize("likelihood", ["bernoulli", "logistic", "gaussian"])
def test_a_vae_has_the_likelihood_that_was_asked_for_or_refuses(likelihood):
    for kind, levels in (("binary", 2), ("discrete", 17), ("continuous", None)):
        data = DataSpec((1, 8, 8), kind, levels)
        if kind not in {"bernoulli": ("binary",), "logistic": ("discrete",)}.get(
            likelihood, ("discrete", "continuous")
        ):
            with pytest.raises(UnsupportedData, match=f"likelihood={likelihood} needs"):
                build(VAE, data, likelihood=likelihood)
            continue
        model = build(VAE, data, likelihood=likelihood)
        x = torch.bernoulli(data_points()) if kind == "binary" else data_points()
        model.setup(Batch(x))
        assert math.isfinite(float(model.update(Batch(x), 0.0)["loss"]))
        assert likelihood in type(model.observation(torch.zeros(1, 3))).__name__.lower()


def test_a_fixed_standard_deviation():
    model = build(VAE, likelihood="gaussian", std=0.1)
    trained(model)
    assert model.marginal.shape == (1, 8, 8)
    assert float(model.observation(torch.zeros(1, 3)).scale) == pytest.approx(0.1)
    for name in ("auto", "logistic"):
        with pytest.raises(UnsupportedData, match="a fixed std needs likelihood=gaussian, this is logistic"):
            build(VAE, likelihood=name, std=0.1)
    with pytest.raises(ValidationError):
        VAE.Config(std=0)


def test_beta_one_is_the_vae_bit_for_bit():
    vae, beta_vae, other = build(VAE), build(BetaVAE, beta=1), build(BetaVAE, beta=1.001)
    losses = trained(vae)
    assert trained(beta_vae) == losses != trained(other)
    pairs = zip(vae.state_dict().items(), beta_vae.state_dict().items(), strict=True)
    assert all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)


def test_beta_weighs_the_divergence():
    assert BetaVAE.Config().beta == 4
    model = build(BetaVAE, warmup=0.5).eval()
    for progress, weight in ((0.25, 2), (0.5, 4), (1.0, 4)):
        scalars = model.loss(Batch(data_points()), progress)
        torch.testing.assert_close(scalars["loss"], scalars["nll"] + weight * scalars["kl"])
    assert float(scalars["kl"].detach()) > 0


def test_normalised_beta_is_the_weight_times_code_dimensions_per_data_dimension():
    """beta_norm = weight M/N with M = 3 and N = 64."""
    model = build(BetaVAE, beta=0.3, normalised=True).eval()
    assert model.beta == pytest.approx(0.3 * 64 / 3)
    torch.manual_seed(5)
    scalars = model.loss(Batch(data_points()), 1.0)
    torch.testing.assert_close(scalars["loss"], scalars["nll"] + 6.4 * scalars["kl"])
    plain = build(BetaVAE, beta=6.4).eval()
    torch.manual_seed(5)
    torch.testing.assert_close(plain.loss(Batch(data_points()), 1.0), scalars)


@torch.no_grad()
def test_likelihood_is_measured_without_beta_and_weights_are_chosen_with_it():
    x = data_points()
    models = [
        build(cls, beta=beta, warmup=0.9).eval() for cls, beta in ((VAE, 1), (VAE, 9), (BetaVAE, 1), (BetaVAE, 9))
    ]
    weights, losses = [], []
    for model in models:
        torch.manual_seed(3)
        weights.append(model.log_weights(x, 5))
        torch.manual_seed(3)
        losses.append(float(model.validation_loss(Batch(x))))
    assert all(torch.equal(weights[0], other) for other in weights[1:])
    kl = float(models[0].loss(Batch(x), 1.0)["kl"])
    assert losses[1] - losses[0] == pytest.approx(8 * kl, rel=1e-4)
    assert losses == losses[:2] * 2


GRADIENTS = ["plain", "doubly-reparameterised"]


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_what_iwae_reports_is_the_bound_itself(gradient):
    model = build(IWAE, k=7, gradient=gradient).eval()
    x = data_points()
    torch.manual_seed(4)
    log_w = model.log_weights(x, 7)
    bound = (log_w.logsumexp(0) - math.log(7)).mean()
    for context in (torch.enable_grad, torch.no_grad):
        with context():
            torch.manual_seed(4)
            scalars = model.loss(Batch(x), 0.3)
        torch.testing.assert_close(scalars["loss"], -bound)
        torch.testing.assert_close(scalars["elbo"], log_w.mean())
    # what has the same gradient, the sum of log w_i times its constant share, is another number
    surrogate = (log_w.softmax(0) * log_w).sum(0).mean()
    assert float((surrogate - bound).detach()) > 0.01
    with torch.no_grad():
        torch.manual_seed(4)
        torch.testing.assert_close(model.validation_loss(Batch(x)), -bound)


def test_all_samples_are_decoded_at_once():
    model = build(IWAE, k=6)
    sizes = []
    model.decoder.register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
    model.update(Batch(data_points()), 0.0)
    assert sizes == [6 * 12]


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_iwae_learns(gradient):
    """Which of two images it is takes a bit; everything else about them can be known."""
    model = build(IWAE, k=3, gradient=gradient, schedule="constant", learning_rate=1e-2)
    batch = Batch(data_points(2).repeat(6, 1, 1, 1))
    model.setup(batch)
    losses = [float(model.update(batch, 0.0)["loss"]) for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]


def test_both_gradients_are_those_of_the_decoder():
    """With the same draws they differ for the encoder alone."""
    gradients = []
    for gradient in GRADIENTS:
        model = build(IWAE, k=4, gradient=gradient).eval()
        torch.manual_seed(6)
        model.loss(Batch(data_points()), 0.0)["loss"].backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    plain, doubly = gradients
    for name in plain:
        same = torch.allclose(plain[name], doubly[name], rtol=1e-4, atol=1e-6)
        assert same == (not name.startswith("encoder")), name

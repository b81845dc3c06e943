"""The contractive penalty and its gradient against autograd's own Jacobian of one data point after another."""

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from genbench.model import Batch, DataSpec
from genbench_ae.ae import AE
from genbench_ae.cae import CAE

DIGITS = DataSpec((1, 8, 8), "discrete", levels=17)
SHALLOW = {"layers": 0, "nodes": "1"}
DEEP = {
    "mlp": {"nodes": "20-10"},
    "relu": {"nodes": "20", "activation": "relu"},
    "linear code": {"nodes": "20", "code": "linear"},
    "conv": {"network": "conv", "width": 4},
}


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randint(17, (5, 1, 8, 8)).double() / 16


def build(**options):
    torch.manual_seed(1)
    model = CAE(DIGITS, CAE.Config(latent_dim=6, **options)).double()
    for parameter in model.parameters():  # biases too
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def penalty(model, x):
    """|J|² of each data point, by autograd's own Jacobian, differentiable."""
    return torch.stack([jacobian(model.encode, point[None], create_graph=True).square().sum() for point in x])


def contraction(model, x):
    points = x.clone().requires_grad_()
    return model.contraction(model.encode(points), points)


def gradients(model, value):
    # a linear layer's bias has none
    return torch.autograd.grad(value, list(model.encoder.parameters()), materialize_grads=True)


def test_the_closed_form_of_one_sigmoid_layer(x):
    model = build(**SHALLOW)
    torch.testing.assert_close(contraction(model, x), penalty(model, x), rtol=1e-10, atol=0)
    ours, known = (gradients(model, value(model, x).mean()) for value in (contraction, penalty))
    torch.testing.assert_close(ours, known, rtol=1e-10, atol=1e-14)


def test_the_jacobian_of_a_linear_layer_is_its_weight(x):
    model = build(**SHALLOW, code="linear", jacobian="exact")
    torch.testing.assert_close(contraction(model, x), penalty(model, x), rtol=1e-10, atol=0)
    weight = next(model.encoder.parameters())
    torch.testing.assert_close(contraction(model, x), weight.square().sum().expand(5), rtol=1e-10, atol=0)


@pytest.mark.parametrize("options", [*DEEP.values(), SHALLOW], ids=[*DEEP, "shallow"])
def test_the_exact_penalty_and_its_gradient(x, options):
    model = build(jacobian="exact", **options)
    torch.testing.assert_close(contraction(model, x), penalty(model, x), rtol=1e-10, atol=0)
    ours, known = (gradients(model, value(model, x).mean()) for value in (contraction, penalty))
    torch.testing.assert_close(ours, known, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("options", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("choice", ["auto", "hutchinson"])
def test_random_probes_are_right_on_average(x, options, choice):
    """Within 5 standard errors, of the penalty and of a derivative of it, over 500 batches of 4 probes."""
    model = build(jacobian=choice, probes=4, **options)
    draws = []
    for _ in range(500):
        value = contraction(model, x).mean()
        draws.append(torch.stack([value, gradients(model, value)[0].sum()]).detach())
    draws = torch.stack(draws)
    value = penalty(model, x).mean()
    known = torch.stack([value, gradients(model, value)[0].sum()]).detach()
    stderr = draws.std(0) / len(draws) ** 0.5
    assert bool(((draws.mean(0) - known).abs() < 5 * stderr).all())
    assert bool((stderr > 0).all())


def test_more_probes_have_less_variance(x):
    spread = []
    for probes in (1, 16):
        model = build(jacobian="hutchinson", probes=probes, nodes="20")
        spread.append(torch.stack([contraction(model, x).mean().detach() for _ in range(300)]).var().item())
    # a sixteenth, within what 300 draws of each tell: the logarithm's standard error is sqrt(2/300 + 2/300)
    assert math.log(16 * spread[1] / spread[0]) == pytest.approx(0, abs=5 * math.sqrt(4 / 300))


def test_the_loss_is_error_plus_weighted_penalty(x):
    model = build(jacobian="exact", weight=0.7, nodes="20")
    with torch.no_grad():
        loss = model.validation_loss(Batch(x))
        error = (model.decoder(model.encode(x)) - x).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(loss, (error + 0.7 * penalty(model, x).mean()).detach(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_no_weight_is_the_autoencoder_bit_for_bit(network):
    x = torch.randint(17, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 16
    shared = {"latent_dim": 6, "network": network} | ({"nodes": "20-10"} if network == "mlp" else {"width": 4})
    states = []
    for cls, options in (
        (AE, {}),
        (CAE, {"weight": 0.0, "tied": False, "code": "linear"}),
        (CAE, {"weight": 0.1, "tied": False, "code": "linear"}),
    ):
        torch.manual_seed(2)
        model = cls(DIGITS, cls.Config(**shared, **options))
        losses = [float(model.update(Batch(x), step / 10)["loss"]) for step in range(10)]
        states.append((losses, list(model.state_dict().values())))
    assert states[0][0] == states[1][0]
    assert all(torch.equal(a, b) for a, b in zip(states[0][1], states[1][1], strict=True))
    assert states[0][0] != states[2][0]

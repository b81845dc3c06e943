"""A restricted Boltzmann machine small enough to enumerate."""

import itertools
import math

import pytest
import torch

from genbench.model import Batch, DataSpec
from genbench_ebm.rbm import RBM

VISIBLE, HIDDEN = 6, 4
SPEC = DataSpec((VISIBLE,), "binary", 2)


def states(n):
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=torch.float64)


@pytest.fixture
def rbm():
    torch.manual_seed(0)
    model = RBM(SPEC, RBM.Config(hidden=HIDDEN, chains=20_000, sampling_steps=20)).double()
    for parameter in model.parameters():
        parameter.copy_(torch.randn_like(parameter))
    model.base_bias.copy_(torch.randn(VISIBLE))
    return model


def joint(model, beta=1.0):
    """log p*(v, h) for all states, by the energy alone: `(2^V, 2^H)`."""
    v, h = states(VISIBLE), states(HIDDEN)
    bias = (1 - beta) * model.base_bias + beta * model.visible_bias
    return (v @ bias)[:, None] + beta * ((h @ model.hidden_bias)[None] + v @ model.weight @ h.T)


def test_the_free_energy_sums_out_the_hidden_units(rbm):
    assert torch.allclose(-rbm.free_energy(states(VISIBLE)), joint(rbm).logsumexp(1))


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_path_is_the_scaled_energy(rbm, beta):
    assert torch.allclose(rbm.log_unnormalized(states(VISIBLE), beta), joint(rbm, beta).logsumexp(1))


def test_the_base_s_normaliser_is_that_of_the_path_at_zero(rbm):
    assert torch.allclose(rbm.base_log_normalizer(), joint(rbm, 0.0).flatten().logsumexp(0))


def test_the_base_s_samples_are_exact(rbm):
    n = 40_000
    probability = torch.softmax(joint(rbm, 0.0).logsumexp(1), 0)
    counted = frequencies(rbm.base_sample(n).double())
    assert ((counted - probability).abs() <= 5 * (probability * (1 - probability) / n).sqrt()).all()


@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_a_transition_leaves_the_distribution_as_it_is(rbm, beta):
    # exactly: the matrix of P(h|v) P(v'|h), from the joint distribution alone, has p(v) as its fixed point, and the
    # model's own conditionals are the joint's
    log_joint = joint(rbm, beta)
    p = torch.softmax(log_joint.flatten(), 0).view_as(log_joint)
    v_given_h, h_given_v = p / p.sum(0), p / p.sum(1, keepdim=True)
    stationary = p.sum(1)
    assert torch.allclose(stationary @ (h_given_v @ v_given_h.T), stationary)
    n = 60_000
    start = torch.multinomial(stationary, n, replacement=True)
    moved = frequencies(rbm.transition(states(VISIBLE)[start], beta))
    assert ((moved - stationary).abs() <= 5 * (stationary * (1 - stationary) / n).sqrt()).all()


def test_means_are_the_joint_s_conditionals(rbm):
    p = torch.softmax(joint(rbm).flatten(), 0).view(2**VISIBLE, 2**HIDDEN)
    assert torch.allclose(rbm.hidden_mean(states(VISIBLE)), (p / p.sum(1, keepdim=True)) @ states(HIDDEN))
    assert torch.allclose(rbm.visible_mean(states(HIDDEN)), (p / p.sum(0)).T @ states(VISIBLE))


def test_an_update_goes_along_the_likelihood_s_gradient(rbm):
    """With chains that are samples of the model, the update is an unbiased estimate of the gradient (autograd through
    the enumerated likelihood)."""
    data = states(VISIBLE)[torch.tensor([3, 17, 17, 40])]
    parameters = [p.requires_grad_() for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias)]
    log_z = (-rbm.free_energy(states(VISIBLE))).logsumexp(0)
    gradients = torch.autograd.grad((-rbm.free_energy(data)).mean() - log_z, parameters)
    probability = torch.softmax(-rbm.free_energy(states(VISIBLE)), 0).detach()
    for parameter in parameters:
        parameter.requires_grad_(False)
    before = [parameter.clone() for parameter in parameters]
    chains = rbm.config.chains
    rbm.persistent.copy_(states(VISIBLE)[torch.multinomial(probability, chains, replacement=True)])
    rbm.config = rbm.config.model_copy(update={"weight_decay": 0.0, "learning_rate": 1.0})
    rbm.update(Batch(data), 0.0)
    for parameter, old, gradient in zip(parameters, before, gradients, strict=True):
        # a mean over chains of numbers in [0, 1] has a standard error of at most a half over the root of their number
        assert (parameter - old - gradient).abs().max() <= 5 * 0.5 / math.sqrt(chains)


def test_the_model_is_the_mean_of_the_parameters_that_updates_move_weighted_by_their_numbers(rbm):
    data, moved = states(VISIBLE)[torch.tensor([3, 17, 17, 40])], []
    for step in range(7):
        rbm.update(Batch(data), step / 7)
        moved.append([part.clone() for part in rbm.training_state()["moving"]])
    for parameter, parts in zip((rbm.weight, rbm.visible_bias, rbm.hidden_bias), zip(*moved, strict=True), strict=True):
        weights = torch.arange(1, 8, dtype=torch.float64).view(-1, *[1] * parameter.dim())
        torch.testing.assert_close(parameter.data, (weights * torch.stack(parts)).sum(0) / weights.sum())
        assert not torch.allclose(parameter, parts[-1])


def test_persistent_contrastive_divergence_reaches_the_maximum_of_the_likelihood():
    torch.manual_seed(1)
    patterns = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]]).float()
    data = patterns[torch.arange(120) % 3]
    model = RBM(SPEC, RBM.Config(hidden=8, chains=500, weight_decay=0.0, learning_rate=0.1))
    model.setup(Batch(data))
    for i in range(6000):
        model.update(Batch(data), i / 6000)
    log_z = (-model.free_energy(states(VISIBLE).float())).logsumexp(0)
    log_likelihood = (-model.free_energy(patterns) - log_z).mean().item()
    # the maximum is that of three patterns equally often; pixels that are independent stay 2.7 nats below it
    assert -math.log(3) - 0.25 < log_likelihood <= -math.log(3) + 1e-4


def frequencies(v):
    index = (v.reshape(-1, VISIBLE) @ (2.0 ** torch.arange(VISIBLE - 1, -1, -1, dtype=v.dtype))).long()
    return torch.bincount(index, minlength=2**VISIBLE).double() / len(index)

"""A restricted Boltzmann machine small enough to enumerate, in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genbench import Check
from genbench.model import DataSpec
from genbench_ebm.rbm import RBM

VISIBLE, HIDDEN = 6, 4
BETAS = (0.0, 0.3, 1.0)
CHAINS = 40_000
ROUNDING = 1e-9


@torch.no_grad()
def rbm() -> Iterator[Check]:
    """Free energies and normalisers against sums over all states, chains against the distribution that they are of."""
    model = RBM(DataSpec((VISIBLE,), "binary", 2), RBM.Config(hidden=HIDDEN)).double()
    for tensor in (model.weight, model.visible_bias, model.hidden_bias, model.base_bias):
        tensor.copy_(0.6 * torch.randn_like(tensor))
    v = _states(VISIBLE)

    off = (-model.free_energy(v) - _log_joint(model, 1.0).logsumexp(1)).abs().max().item()
    yield Check("free energy: largest error", 0.0, off, tolerance=ROUNDING)
    for beta in BETAS:
        off = (model.log_unnormalized(v, beta) - _log_joint(model, beta).logsumexp(1)).abs().max().item()
        yield Check(f"log density at beta = {beta}: largest error", 0.0, off, tolerance=ROUNDING)
    log_z = _log_joint(model, 0.0).flatten().logsumexp(0).item()
    yield Check("log Z of the base", log_z, model.base_log_normalizer().item(), tolerance=ROUNDING)

    yield _chi_squared("base samples", model.base_sample(CHAINS), _probabilities(model, 0.0))
    for beta in BETAS:
        p = _probabilities(model, beta)
        before = v[torch.multinomial(p, CHAINS, replacement=True)]
        after = model.transition(before, beta)
        yield _chi_squared(f"transition at beta = {beta}", after, p)
        # in equilibrium a reversible chain goes from one state to the other as often as back
        flow = _feature(before) * after[:, 0] - _feature(after) * before[:, 0]
        yield Check.of_mean(f"net flow at beta = {beta}", 0.0, flow.tolist())
    x = torch.zeros(CHAINS, VISIBLE, dtype=torch.float64)
    for _ in range(50):
        x = model.transition(x, 1.0)
    yield _chi_squared("50 transitions of a state", x, _probabilities(model, 1.0))


def _states(n: int) -> Tensor:
    """All states of n binary units, `(2^n, n)`, in the order of the numbers that they spell."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * n)


def _log_joint(model: RBM, beta: float) -> Tensor:
    """log p*(v, h) of all states from the energy alone, `(2^V, 2^H)`."""
    v, h = _states(VISIBLE), _states(HIDDEN)
    bias = (1 - beta) * model.base_bias + beta * model.visible_bias
    return (v @ bias)[:, None] + beta * (h @ model.hidden_bias + v @ model.weight @ h.T)


def _probabilities(model: RBM, beta: float) -> Tensor:
    """p(v) of all states, `(2^V,)`."""
    return _log_joint(model, beta).logsumexp(1).softmax(0)


def _feature(v: Tensor) -> Tensor:
    """A number per state that is not a function of its first unit."""
    return v @ torch.arange(VISIBLE, dtype=v.dtype)


def _chi_squared(estimator: str, v: Tensor, p: Tensor) -> Check:
    """Pearson's statistic of states `v` `(n, V)` against their probabilities `p`.

    Its mean is the number of states less 1; its variance for finite n is that of Haldane 1937.
    """
    n, states = len(v), len(p)
    index = (v @ (2.0 ** torch.arange(VISIBLE - 1, -1, -1, dtype=v.dtype))).long()
    counted = torch.bincount(index, minlength=states)
    statistic = ((counted - n * p).square() / (n * p)).sum().item()
    variance = 2 * (states - 1) + ((1 / p).sum().item() - states**2 - 2 * states + 2) / n
    return Check(f"{estimator}: chi-squared", states - 1, statistic, stderr=math.sqrt(variance))

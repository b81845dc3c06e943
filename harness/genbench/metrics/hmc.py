"""Hamiltonian Monte Carlo on the codes of a decoder, along the path p(z) p(x|z)^beta."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genbench.metrics.annealing import Path

#: A log-density of codes `(rows, d)`, `(rows,)` float64, in nats, differentiable.
LogDensity = Callable[[Tensor], Tensor]

#: Step sizes aim at this mean probability of acceptance (Beskos et al. 2013).
TARGET_ACCEPTANCE = 0.65
#: Change of the log step size per step of adaptation and unit of acceptance that is too high or too low.
ADAPTATION_RATE = 0.3
#: Trajectories of adaptation before the first temperature, and at each one.
WARM_UP, TRAJECTORIES = 50, 4
FIRST_STEP_SIZE = 0.3


@dataclass(frozen=True)
class Codes:
    """Codes `z` `(rows, d)` with both log-densities `(rows,)` float64 and their gradients `(rows, d)`."""

    z: Tensor
    log_prior: Tensor
    log_likelihood: Tensor
    prior_gradient: Tensor
    likelihood_gradient: Tensor

    def where(self, mask: Tensor, other: Codes) -> Codes:
        """These rows where `mask` `(rows,)` is true, the other's elsewhere."""
        column = mask[:, None]
        return Codes(
            torch.where(column, self.z, other.z),
            torch.where(mask, self.log_prior, other.log_prior),
            torch.where(mask, self.log_likelihood, other.log_likelihood),
            torch.where(column, self.prior_gradient, other.prior_gradient),
            torch.where(column, self.likelihood_gradient, other.likelihood_gradient),
        )


@dataclass(frozen=True)
class Posterior:
    """p(z) and p(x|z) of one data point per row; f_beta(z) = p(z) p(x|z)^beta."""

    log_prior: LogDensity
    log_likelihood: LogDensity

    def at(self, z: Tensor) -> Codes:
        """Everything known of the codes `z` `(rows, d)`."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            log_prior, log_likelihood = self.log_prior(z), self.log_likelihood(z)
            (of_prior,) = torch.autograd.grad(log_prior.sum(), z)
            (of_likelihood,) = torch.autograd.grad(log_likelihood.sum(), z)
        return Codes(z.detach(), log_prior.detach(), log_likelihood.detach(), of_prior, of_likelihood)

    def move(self, start: Codes, beta: float, step_size: float, leapfrog: int) -> tuple[Codes, float]:
        """One Metropolis-corrected trajectory of `leapfrog` steps (Neal 2011, section 3), and the mean probability
        with which it was accepted. Reversible."""
        momentum = torch.randn_like(start.z)
        codes, p = start, momentum
        p = p + 0.5 * step_size * _gradient(codes, beta)
        for step in range(leapfrog):
            codes = self.at(codes.z + step_size * p)
            p = p + (0.5 if step == leapfrog - 1 else 1.0) * step_size * _gradient(codes, beta)
        gain = _log_joint(codes, p, beta) - _log_joint(start, momentum, beta)
        probability = gain.nan_to_num(nan=-torch.inf).clamp(max=0).exp()
        accepted = torch.rand_like(probability) < probability
        return codes.where(accepted, start), probability.mean().item()


def _gradient(codes: Codes, beta: float) -> Tensor:
    return codes.prior_gradient + beta * codes.likelihood_gradient


def _log_joint(codes: Codes, momentum: Tensor, beta: float) -> Tensor:
    return codes.log_prior + beta * codes.log_likelihood - 0.5 * momentum.double().square().sum(1)


@dataclass
class PosteriorPath(Path[Codes]):
    """The path from the prior to the posterior, with a transition for every temperature.

    Attributes:
        betas: inverse temperatures `(length+1,)`, from 0 to 1.
        step_sizes: of the transition at each of them.
        leapfrog: steps of a trajectory.
        acceptance: mean probability of acceptance at each temperature, as last seen.
    """

    posterior: Posterior
    betas: list[float]
    step_sizes: list[float]
    leapfrog: int

    def __post_init__(self) -> None:
        self.length = len(self.betas) - 1
        self.acceptance = [float("nan")] * len(self.betas)

    def log_ratio(self, state: Codes, t: int) -> Tensor:
        return (self.betas[t] - self.betas[t - 1]) * state.log_likelihood

    def move(self, state: Codes, t: int) -> Codes:
        state, self.acceptance[t] = self.posterior.move(state, self.betas[t], self.step_sizes[t], self.leapfrog)
        return state

    def of(self, posterior: Posterior) -> PosteriorPath:
        """The same transitions for other data points."""
        return replace(self, posterior=posterior)


def adapted(posterior: Posterior, z: Tensor, betas: list[float], leapfrog: int) -> tuple[PosteriorPath, Tensor]:
    """A path whose step sizes suit each temperature, found by chains that anneal from `z` and are then thrown away.

    The step size goes up where the last trajectory was accepted too often, and down where too rarely. Never inside
    chains whose weights count: there a kernel that depends on the past would leave nothing invariant. The returned
    log-weights `(rows,)` of these chains are therefore no bound; they serve to choose between observation models.
    """
    step_size = FIRST_STEP_SIZE
    path = PosteriorPath(posterior, betas, [step_size] * len(betas), leapfrog)
    state = posterior.at(z)

    def learn(t: int, trajectories: int) -> Codes:
        nonlocal step_size
        moved = state
        for _ in range(trajectories):
            path.step_sizes[t] = step_size
            moved = path.move(moved, t)
            step_size *= math.exp(ADAPTATION_RATE * (path.acceptance[t] - TARGET_ACCEPTANCE))
        return moved

    state = learn(0, WARM_UP)
    log_w = torch.zeros_like(state.log_likelihood)
    for t in range(1, len(betas)):
        log_w = log_w + path.log_ratio(state, t)
        state = learn(t, TRAJECTORIES)
    return path, log_w

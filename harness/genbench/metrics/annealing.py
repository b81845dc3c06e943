"""Annealed importance sampling (Neal 2001) in both directions, for any path of distributions.

A path is a sequence of unnormalised densities f_0 … f_T with normalisers Z_0 … Z_T. With E over the chains' randomness:

- forward chains start from exact samples of f_0, and E[w] = Z_T/Z_0: E log w bounds log Z_T/Z_0 from below;
- reverse chains start from exact samples of f_T, and E[1/w] = Z_0/Z_T: E log w bounds it from above.

Together they sandwich it, and the gap says how far either can be off (Grosse, Ghahramani & Adams 2015, section 3).
Transitions have to be fixed before the chains start, and reversible: the reverse chains use the same ones.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

S = TypeVar("S")
#: Told how far a measurement is, as a fraction.
Progress = Callable[[float], None]

#: The steepness of the sigmoid schedule.
STEEPNESS = 4.0


class Path(ABC, Generic[S]):
    """Unnormalised densities f_0 … f_T over states of type `S`, each a batch of independent chains."""

    #: T, the number of steps from f_0 to f_T.
    length: int

    @abstractmethod
    def log_ratio(self, state: S, t: int) -> Tensor:
        """log f_t - log f_(t-1) at the state, `(chains,)` float64, in nats."""

    @abstractmethod
    def move(self, state: S, t: int) -> S:
        """A reversible Markov transition that leaves f_t invariant."""


def forward(path: Path[S], state: S, progress: Progress) -> Tensor:
    """log w, `(chains,)` float64, of chains from `state`, exact samples of f_0 (Neal 2001, equation 11)."""
    log_w = path.log_ratio(state, 1)
    for t in range(2, path.length + 1):
        state = path.move(state, t - 1)
        log_w = log_w + path.log_ratio(state, t)
        progress(t / path.length)
    return log_w


def reverse(path: Path[S], state: S, progress: Progress) -> Tensor:
    """log w, `(chains,)` float64, along reverse chains from `state`, exact samples of f_T."""
    log_w = path.log_ratio(state, path.length)
    for t in range(path.length - 1, 0, -1):
        state = path.move(state, t)
        log_w = log_w + path.log_ratio(state, t)
        progress(1 - (t - 1) / path.length)
    return log_w


def log_mean_exp(log_w: Tensor, dim: int = 0) -> Tensor:
    """log of the mean of exp(log_w) along `dim`."""
    return log_w.logsumexp(dim) - math.log(log_w.shape[dim])


def log_mean_exp_stderr(log_w: Tensor) -> float:
    """Standard error of `log_mean_exp` of weights `(chains,)`, by the delta method: sd(w) / (mean(w) sqrt(chains))."""
    w = (log_w - log_w.max()).exp()
    return (w.std() / w.mean()).item() / math.sqrt(len(w))


def sigmoid_schedule(steps: int) -> Tensor:
    """Inverse temperatures 0 = beta_0 < … < beta_T = 1, `(steps+1,)` float64, close together at both ends
    (Wu et al. 2017, section 3)."""
    s = torch.sigmoid(torch.linspace(-STEEPNESS, STEEPNESS, steps + 1, dtype=torch.float64))
    return (s - s[0]) / (s[-1] - s[0])


def part(progress: Progress, start: float, stop: float) -> Progress:
    """Reports the progress of a part, which lasts from `start` to `stop`, as that of the whole."""
    return lambda fraction: progress(start + fraction * (stop - start))

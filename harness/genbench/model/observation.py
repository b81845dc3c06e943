"""p(x|z) for every kind of data: Bernoulli for binary, discretised logistic for discrete, Gaussian for continuous.

A decoder network ends in `parameter_channels(data)` times as many channels as the data has, and `observe` makes the
distribution of them. Binary cross-entropy on grey values is not a likelihood and is not offered.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.special import log_ndtr

from genbench.data.spec import DataSpec
from genbench.model.levels import snap

#: Bounds of every learned log-scale: wide enough for one level of 256 (or for real data of unit size), and finite.
MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 3.0


class Observation(ABC):
    """A distribution over data points, independent over dimensions given its parameters, a batch of B."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """The mean data point, `(B, *shape)`."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x|z), `(B,)`, in nats, summed over dimensions."""

    @abstractmethod
    def sample(self) -> Tensor:
        """One draw per parameter set, `(B, *shape)`."""


def parameter_channels(data: DataSpec) -> int:
    """How many numbers per data dimension `observe` needs: one for binary data (a logit), else two."""
    return 1 if data.kind == "binary" else 2


def observe(data: DataSpec, parameters: Tensor) -> Observation:
    """The observation model of `data` with these `parameters`, `(B, m*C, H, W)` or `(B, m*D)`,
    where m is `parameter_channels(data)`."""
    if data.kind == "binary":
        return Bernoulli(parameters)
    location, log_scale = parameters.chunk(2, dim=1)
    if data.kind == "discrete":
        assert data.levels is not None  # a DataSpec of discrete data has levels
        return DiscretizedLogistic(torch.sigmoid(location), log_scale - 2.0, data.levels)
    return Gaussian(location, log_scale)


class Bernoulli(Observation):
    """P(x=1) = sigmoid(logits)."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.logits)

    def log_prob(self, x: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(self.logits, x, reduction="none").flatten(1).sum(1)

    def sample(self) -> Tensor:
        return torch.bernoulli(self.mean)


class DiscretizedLogistic(Observation):
    """The mass that a logistic density of `mean` (in [0, 1]) and exp(`log_scale`) gives to each level's bin, the
    outermost bins reaching to infinity (Kingma et al. 2016; Salimans et al. 2017, equation 2). Sums to one exactly."""

    def __init__(self, mean: Tensor, log_scale: Tensor, levels: int) -> None:
        self.location = mean
        self.log_scale = log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
        self.levels = levels

    @property
    def mean(self) -> Tensor:
        return self.location

    def log_prob(self, x: Tensor) -> Tensor:
        half = 0.5 / (self.levels - 1)
        inverse_scale = torch.exp(-self.log_scale)
        upper = (x - self.location + half) * inverse_scale
        lower = (x - self.location - half) * inverse_scale
        # log(sigmoid(b) - sigmoid(a)) = log sigmoid(b) + log sigmoid(-a) + log(1 - exp(a-b)), stable in both tails
        width = 2 * half * inverse_scale
        inner = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-width))
        log_p = torch.where(x < half, F.logsigmoid(upper), torch.where(x > 1 - half, F.logsigmoid(-lower), inner))
        return log_p.flatten(1).sum(1)

    def sample(self) -> Tensor:
        u = torch.rand_like(self.location).clamp(1e-6, 1 - 1e-6)
        x = self.location + torch.exp(self.log_scale) * (torch.log(u) - torch.log1p(-u))
        return snap(x, self.levels)


class DiscretizedGaussian(Observation):
    """The mass that a normal density of `mean` (in [0, 1]) and standard deviation `scale` gives to each level's bin,
    the outermost bins reaching to infinity. Sums to one exactly."""

    def __init__(self, mean: Tensor, scale: float, levels: int) -> None:
        self.location = mean
        self.scale = scale
        self.levels = levels

    @property
    def mean(self) -> Tensor:
        return self.location

    def log_prob(self, x: Tensor) -> Tensor:
        half = 0.5 / (self.levels - 1)
        lower, upper = (x - self.location - half) / self.scale, (x - self.location + half) / self.scale
        # log(Phi(b) - Phi(a)) in the tail where neither is close to one
        a, b = torch.where(lower > 0, -upper, lower), torch.where(lower > 0, -lower, upper)
        log_b = log_ndtr(b)
        inner = log_b + torch.log(-torch.expm1(log_ndtr(a) - log_b))
        log_p = torch.where(x < half, log_ndtr(upper), torch.where(x > 1 - half, log_ndtr(-lower), inner))
        return log_p.flatten(1).sum(1)

    def sample(self) -> Tensor:
        return snap(self.location + self.scale * torch.randn_like(self.location), self.levels)


class Gaussian(Observation):
    """N(mean, exp(log_scale)^2), for continuous data."""

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        self.location = mean
        self.log_scale = log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)

    @property
    def mean(self) -> Tensor:
        return self.location

    def log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.location) * torch.exp(-self.log_scale)
        return (-0.5 * (z * z + math.log(2 * math.pi)) - self.log_scale).flatten(1).sum(1)

    def sample(self) -> Tensor:
        return self.location + torch.exp(self.log_scale) * torch.randn_like(self.location)

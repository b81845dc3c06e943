"""p(x|z) for every kind of data: Bernoulli for binary, discretised logistic for discrete, Gaussian for continuous.

A decoder network ends in `parameter_channels(data)` times as many channels as the data has, and `observe` makes the
distribution of them. Binary cross-entropy on grey values is not a likelihood and is not offered.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.special import log_ndtr

from genbench.data.spec import DataSpec
from genbench.errors import UnsupportedData
from genbench.model.levels import snap

#: How an option names p(x|z): `"auto"` is the one that suits the data's kind.
Likelihood = Literal["auto", "bernoulli", "logistic", "gaussian"]
#: The kinds of data that each is a distribution over.
KINDS = {"bernoulli": ("binary",), "logistic": ("discrete",), "gaussian": ("discrete", "continuous")}
DEFAULTS = {"binary": "bernoulli", "discrete": "logistic", "continuous": "gaussian"}

#: Bounds of every learned log-scale: wide enough for one level of 256 (or for real data of unit size), and finite.
MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 3.0


class Observation(ABC):
    """A distribution over data points, independent over dimensions given its parameters, a batch of B."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """The mean data point, `(B, *shape)`; of what is discretised, the mean before it is."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x|z), `(B,)`, in nats, summed over dimensions."""

    @abstractmethod
    def sample(self) -> Tensor:
        """One draw per parameter set, `(B, *shape)`."""


def parameter_channels(data: DataSpec, likelihood: Likelihood = "auto", std: float | None = None) -> int:
    """How many numbers per data dimension `observe` needs: a location, and a log-scale where there is one to learn.

    Raises:
        UnsupportedData: `likelihood` is no distribution over such data, or has no standard deviation to be given.
    """
    name = _named(data, likelihood, std)
    return 1 if name == "bernoulli" or std is not None else 2


def observe(
    data: DataSpec, parameters: Tensor, likelihood: Likelihood = "auto", std: float | None = None
) -> Observation:
    """p(x|z) for `data` with these `parameters`, `(B, m*C, H, W)` or `(B, m*D)`, where m is `parameter_channels`.

    Args:
        data: the data's spec.
        parameters: a decoder's output; in lower precision than float32 it is taken to float32.
        likelihood: which distribution; by default Bernoulli for binary data, a discretised logistic for discrete data,
            a Gaussian for continuous data. A Gaussian over discrete data is discretised.
        std: the standard deviation of a Gaussian, where it is fixed, in the units of the data as it is presented (a
            level of discrete data is 1/(levels-1)).

    Raises:
        UnsupportedData: `likelihood` is no distribution over such data, or has no standard deviation to be given.
    """
    name = _named(data, likelihood, std)
    parameters = parameters.to(torch.promote_types(parameters.dtype, torch.float32))
    if name == "bernoulli":
        return Bernoulli(parameters)
    if std is not None:
        location, log_scale = parameters, parameters.new_tensor(math.log(std))
    else:
        location, log_scale = parameters.chunk(2, dim=1)
        log_scale = (log_scale - 2.0 if name == "logistic" else log_scale).clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
    if data.levels is None:
        return Gaussian(location, log_scale)
    if name == "logistic":
        return DiscretizedLogistic(torch.sigmoid(location), log_scale, data.levels)
    return DiscretizedGaussian(torch.sigmoid(location), log_scale.exp(), data.levels)


def _named(data: DataSpec, likelihood: Likelihood, std: float | None) -> str:
    """The likelihood that is meant, refused where it is none for such data or has no `std` to be given."""
    name = DEFAULTS[data.kind] if likelihood == "auto" else likelihood
    if data.kind not in KINDS[name]:
        raise UnsupportedData(f"likelihood={name} needs {' or '.join(KINDS[name])} data, this is {data.kind}")
    if std is not None and name != "gaussian":
        raise UnsupportedData(f"a fixed std needs likelihood=gaussian, this is {name}")
    return name


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
        self.log_scale = log_scale
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

    def __init__(self, mean: Tensor, scale: float | Tensor, levels: int) -> None:
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
        self.log_scale = log_scale

    @property
    def mean(self) -> Tensor:
        return self.location

    def log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.location) * torch.exp(-self.log_scale)
        return (-0.5 * (z * z + math.log(2 * math.pi)) - self.log_scale).flatten(1).sum(1)

    def sample(self) -> Tensor:
        return self.location + torch.exp(self.log_scale) * torch.randn_like(self.location)

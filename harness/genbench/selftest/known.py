"""Models whose answers are known, as tiny as can be, in float64, and the subject that a metric measures them on."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.metrics.base import Subject
from genbench.model import Bernoulli, Decoder, Gaussian, LatentBound, Observation, Sampler, standard_normal

CPU = torch.device("cpu")


def subject_of(model: object, data: DataSpec, x: Tensor, y: Tensor | None = None) -> Subject:
    """What a metric measures: a model on points `x` `(N, *shape)` with labels `y` `(N,)`, which are all three splits.

    Discrete points are given as integer levels, continuous ones as real numbers. The subject has no folder: a metric
    that leaves artifacts can't be asked.
    """
    points = x.float() if data.levels is None else x.to(torch.uint8)
    split = Split(points.numpy(), None if y is None else y.numpy())
    dataset = Dataset("known", data, split, split, split, family="known")
    train, validation, test = (DeviceSplit(dataset, name, CPU) for name in ("train", "validation", "test"))
    return Subject(model, data, dataset, train, validation, test, CPU, seed=0, folder=Path(os.devnull))


class LinearGaussian(Sampler, Decoder, LatentBound):
    """z ~ N(0, I), x|z ~ N(Wz + b, 0.5² I), so that x ~ N(b, WWᵀ + 0.25 I).

    The columns of W are orthogonal and of known lengths, so that a hundred temperatures lead from the prior to every
    posterior: the weights' spread is then small enough for its standard error to be known, whatever the seed.

    q(z|x) is the exact posterior with `inflation` times its covariance. Each of the `latent` dimensions then adds
    (inflation - 1 - ln inflation)/2 to KL(q || p(z|x)), whatever x.
    """

    DIMS, LATENT, SCALE = 6, 3, 0.5

    def __init__(self, inflation: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(1)
        self.data = DataSpec((self.DIMS,), "continuous")
        self.inflation = inflation
        columns = torch.randn(self.DIMS, self.LATENT, generator=generator, dtype=torch.float64)
        self.W = torch.linalg.qr(columns).Q * torch.tensor([0.6, 0.45, 0.3], dtype=torch.float64)
        self.b = torch.randn(self.DIMS, generator=generator, dtype=torch.float64)
        precision = torch.eye(self.LATENT, dtype=torch.float64) + self.W.T @ self.W / self.SCALE**2
        self.posterior_covariance = torch.linalg.inv(precision)
        self.marginal_covariance = self.W @ self.W.T + self.SCALE**2 * torch.eye(self.DIMS, dtype=torch.float64)

    def exact(self, x: Tensor) -> Tensor:
        """log p(x), `(B,)`, by SciPy's multivariate normal."""
        normal = multivariate_normal(self.b.numpy(), self.marginal_covariance.numpy())
        return torch.as_tensor(normal.logpdf(x.double().numpy()))

    def negative_entropy(self) -> float:
        """E log p(x) over the model's own x: -(D/2) ln(2πe) - (1/2) ln det."""
        log_det = torch.linalg.slogdet(self.marginal_covariance).logabsdet.item()
        return -0.5 * (self.DIMS * math.log(2 * math.pi * math.e) + log_det)

    def posterior_gap(self) -> float:
        """KL(q || p(z|x)) = log p(x) - ELBO, for every x."""
        return self.LATENT / 2 * (self.inflation - 1 - math.log(self.inflation))

    def log_weight_variance(self) -> float:
        """Var log w over z ~ q, for every x: log w is a constant plus (inflation - 1)/2 times a chi-squared of
        `LATENT` degrees."""
        return self.LATENT / 2 * (self.inflation - 1) ** 2

    def weight_variance(self) -> float:
        """Var w / p(x)² over z ~ q, for every x: the integral of p(z|x)²/q(z|x), less 1."""
        return (self.inflation / math.sqrt(2 * self.inflation - 1)) ** self.LATENT - 1

    def prior(self) -> Distribution:
        return standard_normal(self.LATENT, self.W)

    def decode(self, z: Tensor) -> Tensor:
        return z.double() @ self.W.T + self.b

    def observation(self, z: Tensor) -> Observation:
        return Gaussian(self.decode(z), self.b.new_tensor(self.SCALE).log())

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        return self.observation(self.prior().sample((n,))).sample()

    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        mean = (x.double() - self.b) @ self.W @ self.posterior_covariance / self.SCALE**2
        q = MultivariateNormal(mean, self.inflation * self.posterior_covariance)
        z = q.sample((k,))
        log_px = self.observation(z.flatten(0, 1)).log_prob(x.double().repeat(k, 1)).view(k, len(x))
        return self.prior().log_prob(z) + log_px - q.log_prob(z)


class BernoulliDecoder(Sampler, Decoder, LatentBound):
    """z ~ N(0, I) in the plane, x|z Bernoulli over 6 pixels with logits of a random two-layer network of z.

    q(z|x) is the prior. Everything is known by quadrature over the plane.
    """

    PIXELS, HIDDEN = 6, 8

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(2)
        self.data = DataSpec((self.PIXELS,), "binary", 2)
        self.first = 1.5 * torch.randn(2, self.HIDDEN, generator=generator, dtype=torch.float64)
        self.second = torch.randn(self.HIDDEN, self.PIXELS, generator=generator, dtype=torch.float64)

    def prior(self) -> Distribution:
        return standard_normal(2, self.first)

    def decode(self, z: Tensor) -> Tensor:
        return self.observation(z).mean

    def observation(self, z: Tensor) -> Observation:
        return Bernoulli(torch.tanh(z.double() @ self.first) @ self.second)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        return self.observation(self.prior().sample((n,))).sample()

    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        z = self.prior().sample((k, len(x)))
        return self.observation(z.flatten(0, 1)).log_prob(x.double().repeat(k, 1)).view(k, len(x))

    def quadrature(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Quadrature over the plane for points `x` `(B, 6)`: the logarithms of weights `(G,)` that sum to 1, of the
        prior over G grid points, and log p(x|z) at each of them, `(G, B)`.

        Equally spaced points out to 8 standard deviations: for a smooth integrand that vanishes at the edges, the
        error falls faster than any power of their distance.
        """
        side = torch.linspace(-8, 8, 161, dtype=torch.float64)
        z = torch.cartesian_prod(side, side)
        observation = self.observation(z)
        log_px = torch.stack([observation.log_prob(point.double().expand(len(z), -1)) for point in x], dim=1)
        return self.prior().log_prob(z).log_softmax(0), log_px

"""`AnnealedImportance` and its parts on models whose likelihood is known, from both sides."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.data import DataSpec
from genbench.metrics.ais import AnnealedImportance
from genbench.metrics.decoding import DecoderBounds
from genbench.model import Sampler, Unnormalized
from genbench.selftest.base import Check
from genbench.selftest.known import BernoulliDecoder, LinearGaussian, subject_of


def decoders() -> Iterator[Check]:
    """Forward chains bound log p(x) from below and reverse ones from above; x and its code are drawn from the model.

    At few temperatures the bounds are loose and on their sides. At more, the weights' means are looked at, which are
    exact whatever the number of temperatures: E[w] = p(x) forward, and E[1/w] = 1/p(x) in reverse.
    """
    for name, model in (("closed form", LinearGaussian()), ("quadrature", BernoulliDecoder())):
        below, above = _errors(model, temperatures=5, points=300)
        yield Check.of_mean(f"lower bound - log p, T = 5, {name}", 0.0, below.tolist(), "at_most")
        yield Check.of_mean(f"upper bound - log p, T = 5, {name}", 0.0, above.tolist(), "at_least")
        below, above = _errors(model, temperatures=100, points=400)
        yield Check.of_mean(f"w / p(x), forward, T = 100, {name}", 1.0, below.exp().tolist())
        yield Check.of_mean(f"p(x) / w, reverse, T = 100, {name}", 1.0, (-above).exp().tolist())


def _errors(model: LinearGaussian | BernoulliDecoder, *, temperatures: int, points: int) -> tuple[Tensor, Tensor]:
    """The lower and the upper bound of one chain, less log p(x), for each of so many points, `(points,)`."""
    bounds = DecoderBounds(model, model.data, temperatures=temperatures, leapfrog=5, chains=1, batch=4096)
    bounds.prepare(bounds.simulate(150)[1])
    z, x = bounds.simulate(points)
    truth = _exact(model, x)
    return bounds.lower(x, _silent) - truth, bounds.upper(x, z, _silent) - truth


def _exact(model: LinearGaussian | BernoulliDecoder, x: Tensor) -> Tensor:
    """log p(x), `(B,)`."""
    if isinstance(model, LinearGaussian):
        return model.exact(x)
    images, index = x.unique(dim=0, return_inverse=True)
    log_prior, log_px = model.quadrature(images)
    return (log_prior[:, None] + log_px).logsumexp(0)[index]


class _Boltzmann(Unnormalized, Sampler):
    """A restricted Boltzmann machine of 6 visible and 5 hidden units, whose samples are exact."""

    VISIBLE, HIDDEN = 6, 5

    def __init__(self, strength: float) -> None:
        self.data = DataSpec((self.VISIBLE,), "binary", 2)
        self.W = strength * torch.randn(self.VISIBLE, self.HIDDEN, dtype=torch.float64)
        self.b = torch.randn(self.VISIBLE, dtype=torch.float64)
        self.c = torch.randn(self.HIDDEN, dtype=torch.float64)
        self.states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * self.VISIBLE)

    def log_unnormalized(self, x: Tensor, beta: float) -> Tensor:
        v = x.double()
        return v @ self.b + F.softplus(beta * (v @ self.W + self.c)).sum(1)

    def transition(self, x: Tensor, beta: float) -> Tensor:
        h = torch.bernoulli(torch.sigmoid(beta * (x.double() @ self.W + self.c)))
        return torch.bernoulli(torch.sigmoid(beta * (h @ self.W.T) + self.b))

    def base_sample(self, n: int) -> Tensor:
        return torch.bernoulli(torch.sigmoid(self.b).expand(n, -1))

    def base_log_normalizer(self) -> Tensor:
        return F.softplus(self.b).sum() + self.HIDDEN * math.log(2)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        p = self.log_unnormalized(self.states, 1.0).softmax(0)
        return self.states[torch.multinomial(p, n, replacement=True)].double()


def energy_models() -> Iterator[Check]:
    """Forward chains bound log Z from below and reverse ones from above; so log p(x) is bounded the other way round."""
    for strength, temperatures in ((0.5, 3), (1.5, 300)):
        model = _Boltzmann(strength)
        log_z = model.log_unnormalized(model.states, 1.0).logsumexp(0).item()
        x = model.sample(200)
        config = AnnealedImportance.Config(energy_temperatures=temperatures, energy_chains=2000)
        got = {m.name: m for m in AnnealedImportance(config).measure(subject_of(model, model.data, x))}
        settings, error = got["ais_gap"].settings, got["ais_gap"].stderr
        what = f"T = {temperatures}"
        yield Check(f"log Z, forward, {what}", log_z, settings["log_z_lower"], stderr=error)
        yield Check(f"log Z, reverse, {what}", log_z, settings["log_z_upper"], stderr=error)
        truth = model.log_unnormalized(x, 1.0).mean().item() - log_z
        for name in ("ais_log_likelihood", "ais_log_likelihood_upper"):
            yield Check(f"{name}, {what}", truth, got[name].value, stderr=error)
    yield from _single_chains(_Boltzmann(1.5))


def _single_chains(model: _Boltzmann) -> Iterator[Check]:
    """With one chain each and few temperatures, both sides are far off, each to its own side."""
    log_z = model.log_unnormalized(model.states, 1.0).logsumexp(0).item()
    config = AnnealedImportance.Config(energy_temperatures=3, energy_chains=2)
    x = model.sample(2)
    draws = [AnnealedImportance(config).measure(subject_of(model, model.data, x))[0].settings for _ in range(300)]
    below = [settings["log_z_lower"] for settings in draws]
    above = [settings["log_z_upper"] for settings in draws]
    yield Check.of_mean("mean log Z, forward, 2 chains", log_z, below, "at_most")
    yield Check.of_mean("mean log Z, reverse, 2 chains", log_z, above, "at_least")


def _silent(fraction: float) -> None:
    """Nobody waits for these chains."""

"""A decoder with a p(x|z), its own or one that was fitted, and bounds on its log p(x) from both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from genbench.data import DataSpec
from genbench.metrics.annealing import Progress, forward, log_mean_exp, part, reverse, sigmoid_schedule
from genbench.metrics.base import checked
from genbench.metrics.hmc import Codes, Posterior, PosteriorPath, adapted
from genbench.metrics.noise import noise_name, noisy, scales
from genbench.model import Decoder, Observation

#: A scale is chosen with one temperature in so many.
COARSENING = 5


class DecoderBounds:
    """Annealed importance sampling in the space of codes, from p(z) to p(z|x).

    Args:
        model: the decoder.
        data: what it decodes to.
        temperatures: steps from prior to posterior.
        leapfrog: steps of a trajectory of Hamiltonian Monte Carlo.
        chains: per data point.
        batch: chains that are run at once, at most.
    """

    def __init__(
        self, model: Decoder, data: DataSpec, *, temperatures: int, leapfrog: int, chains: int, batch: int
    ) -> None:
        self.model = model
        self.data = data
        self.prior: Distribution = model.prior()
        self.leapfrog = leapfrog
        self.chains = chains
        self.points_at_once = max(1, batch // chains)
        self.betas = sigmoid_schedule(temperatures).tolist()
        self.scale: float | None = None
        self.path: PosteriorPath | None = None

    def prepare(self, x: Tensor) -> dict[str, Any]:
        """Fit, on data points `x` `(n, *shape)` that nothing is reported of, the noise where the model has no p(x|z)
        of its own, and the step sizes; returns what was found, for the record."""
        z = self._codes(len(x))
        settings: dict[str, Any] = {"observation": "the model's own"}
        if self.model.observation(z[:1]) is None:
            self.scale, at_edge = self._fitted_scale(x, z)
            settings = {
                "observation": f"{noise_name(self.data)} around the decoder's mean",
                "observation_scale": self.scale,
                "observation_scale_at_edge": at_edge,
            }
        posterior = self._posterior(x)
        self._start(posterior, z)
        self.path, _ = adapted(posterior, z, self.betas, self.leapfrog)
        return settings | {"n_validation": len(x)}

    def observation(self, z: Tensor) -> Observation:
        """p(x|z) of codes `(rows, d)`."""
        if self.scale is None:
            own = self.model.observation(z)
            assert own is not None  # `prepare` has fitted a scale otherwise
            return own
        mean = checked(self.model, "decode", self.model.decode(z), (len(z), *self.data.shape))
        return noisy(self.data, mean.double(), self.scale)

    def simulate(self, n: int) -> tuple[Tensor, Tensor]:
        """Codes `(n, d)` and data points `(n, *shape)` drawn from p(z) p(x|z): each code is an exact sample of its
        point's posterior."""
        z = self._codes(n)
        return z, self.observation(z).sample().float()

    def lower(self, x: Tensor, progress: Progress) -> Tensor:
        """log of the mean weight of forward chains, `(n,)` nats: in expectation below log p(x)."""

        def bound(index: slice, path: PosteriorPath, report: Progress) -> Tensor:
            start = self._start(path.posterior, self._codes(len(x[index]) * self.chains))
            return log_mean_exp(forward(path, start, report).view(self.chains, -1))

        return self._over_points(x, bound, progress)

    def upper(self, x: Tensor, z: Tensor, progress: Progress) -> Tensor:
        """Less the log of the mean inverse weight of reverse chains from `z`, exact samples of p(z|x), `(n,)` nats: in
        expectation above log p(x)."""

        def bound(index: slice, path: PosteriorPath, report: Progress) -> Tensor:
            start = self._start(path.posterior, z[index].repeat(self.chains, 1))
            return -log_mean_exp(-reverse(path, start, report).view(self.chains, -1))

        return self._over_points(x, bound, progress)

    @property
    def acceptance(self) -> float:
        """Mean probability of acceptance over the temperatures, as last seen."""
        assert self.path is not None  # `prepare` comes first
        inner = self.path.acceptance[1:-1]
        return sum(inner) / len(inner)

    def _over_points(
        self, x: Tensor, bound: Callable[[slice, PosteriorPath, Progress], Tensor], progress: Progress
    ) -> Tensor:
        assert self.path is not None  # `prepare` comes first
        found = []
        for start in range(0, len(x), self.points_at_once):
            stop = min(start + self.points_at_once, len(x))
            index = slice(start, stop)
            path = self.path.of(self._posterior(x[index].repeat(self.chains, *(1 for _ in self.data.shape))))
            found.append(bound(index, path, part(progress, start / len(x), stop / len(x))))
            self.path.acceptance = path.acceptance
        return torch.cat(found)

    def _fitted_scale(self, x: Tensor, z: Tensor) -> tuple[float, bool]:
        """The scale with the best log p(x), and whether it is the first or the last of those that were tried."""
        coarse = sigmoid_schedule(max(2, (len(self.betas) - 1) // COARSENING)).tolist()
        found: dict[float, float] = {}
        for scale in scales(self.data, x):
            self.scale = scale
            _, log_w = adapted(self._posterior(x), z, coarse, self.leapfrog)
            found[scale] = log_w.mean().item()
        best = max(found, key=lambda scale: found[scale])
        return best, best in (max(found), min(found))

    def _posterior(self, x: Tensor) -> Posterior:
        def log_likelihood(z: Tensor) -> Tensor:
            return self.observation(z).log_prob(x).double()

        def log_prior(z: Tensor) -> Tensor:
            return self.prior.log_prob(z).double()

        return Posterior(log_prior, log_likelihood)

    def _codes(self, n: int) -> Tensor:
        """`n` draws of p(z), `(n, d)`."""
        return checked(self.model, "prior().sample", self.prior.sample((n,)), (n, None))

    def _start(self, posterior: Posterior, z: Tensor) -> Codes:
        """Where chains start: there at least, everything must be finite."""
        codes = posterior.at(z)
        checked(self.model, "prior().log_prob", codes.log_prior, (len(z),))
        checked(self.model, "observation(z).log_prob", codes.log_likelihood, (len(z),))
        return codes

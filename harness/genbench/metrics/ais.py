"""How probable is held-out data, where there is neither a density nor a posterior? Annealed importance sampling."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from genbench.metrics.annealing import Path, forward, log_mean_exp, log_mean_exp_stderr, part, reverse
from genbench.metrics.base import Measurement, Metric, NotApplicable, Subject, checked
from genbench.metrics.coding import some_points
from genbench.metrics.decoding import DecoderBounds
from genbench.metrics.nats import likelihood_numbers
from genbench.model import Decoder, Sampler, Unnormalized
from genbench.options import Options

#: Validation points that step sizes and a decoder's noise are fitted on.
FITTING_POINTS = 50
#: Test points of an energy model, whose log-density is cheap once its normaliser is known.
MAX_POINTS = 10_000

INCONSISTENT = "the bound from below lies above that from above: the chains have not mixed"


class AnnealedImportance(Metric):
    """Log-likelihood of test data by annealed importance sampling (Neal 2001), bounded from both sides where it can be.

    For a `Decoder`, with chains in the space of codes from p(z) to p(z|x), by Hamiltonian Monte Carlo (Wu et al. 2017):

    - `ais_log_likelihood`, `ais_bits_per_dim`: log p(x) of test data, bounded from below in expectation;
    - `ais_gap`: on data simulated by the model, whose codes are exact posterior samples, the mean upper bound of the
      reverse chains less the mean lower bound of the forward ones, in nats per data point (Grosse, Ghahramani & Adams
      2015): on such data, neither bound is off by more.

    Step sizes are adapted beforehand, on validation data. A decoder without p(x|z) is given noise around its mean,
    whose scale is chosen on validation data.

    For an `Unnormalized` model, with chains in data space from its base distribution to the model:

    - `ais_log_likelihood`, `ais_bits_per_dim`: log p(x) with the reverse chains' log Z, which bounds log Z from above
      and so log p(x) from below, as far as the samples that these chains start from are exact;
    - `ais_log_likelihood_upper`: the same with the forward chains' log Z, which bounds log Z from below whatever the
      chains do, and so log p(x) from above: forward chains alone flatter an energy model;
    - `ais_gap`: the difference of the two.

    Standard errors are over data points, and over chains for log Z.
    """

    class Config(Options):
        """Options of `ais`."""

        temperatures: int = Field(500, ge=3, description="temperatures from prior to posterior (decoders)")
        chains: int = Field(2, ge=1, description="chains per data point (decoders)")
        leapfrog: int = Field(5, ge=1, description="leapfrog steps of a transition (decoders)")
        n: int = Field(100, ge=2, description="test points, and as many simulated ones (decoders)")
        energy_temperatures: int = Field(2000, ge=3, description="temperatures from base to model (energy models)")
        energy_chains: int = Field(500, ge=2, description="chains in either direction (energy models)")
        batch: int = Field(4096, ge=1, description="chains that are run at once, at most (decoders)")
        curve: bool = Field(False, description="measure it on the curve too, with few temperatures, chains and points")

    requires: ClassVar[tuple[type, ...]] = (Decoder, Unnormalized)
    names: ClassVar[tuple[str, ...]] = ("ais_bits_per_dim", "ais_log_likelihood", "ais_log_likelihood_upper", "ais_gap")
    config: Config

    def quick(self) -> dict[str, Any] | None:
        few = {"temperatures": 100, "chains": 1, "n": 32, "energy_temperatures": 200, "energy_chains": 100}
        return few if self.config.curve else None

    def measure(self, subject: Subject) -> list[Measurement]:
        return self._energy(subject) if isinstance(subject.model, Unnormalized) else self._decoder(subject)

    def _decoder(self, subject: Subject) -> list[Measurement]:
        config = self.config
        x = some_points(subject.test, config.n)
        bounds = DecoderBounds(
            subject.model,
            subject.data,
            temperatures=config.temperatures,
            leapfrog=config.leapfrog,
            chains=config.chains,
            batch=config.batch,
        )
        settings = bounds.prepare(some_points(subject.validation, FITTING_POINTS))
        on_test = bounds.lower(x, part(subject.progress, 0, 1 / 3))
        z, simulated = bounds.simulate(len(x))
        below = bounds.lower(simulated, part(subject.progress, 1 / 3, 2 / 3))
        above = bounds.upper(simulated, z, part(subject.progress, 2 / 3, 1))
        settings |= {
            "n": len(x),
            "chains": config.chains,
            "temperatures": config.temperatures,
            "leapfrog": config.leapfrog,
            "acceptance": bounds.acceptance,
            "direction": "E log w <= log p(x): forward chains bound log p(x) from below",
        }
        return [
            *likelihood_numbers("ais_", subject.data, "lower_bound", *_mean(on_test), settings),
            _gap(*_mean(above - below), settings),
        ]

    def _energy(self, subject: Subject) -> list[Measurement]:
        if not isinstance(subject.model, Sampler):
            raise NotApplicable("reverse chains start from samples, and the model is no Sampler")
        model: Any = subject.model
        config = self.config
        x = some_points(subject.test, MAX_POINTS)
        path = _EnergyPath(model, config.energy_temperatures)
        chains = config.energy_chains
        base = checked(model, "base_log_normalizer", model.base_log_normalizer(), ()).item()
        start = checked(model, "base_sample", model.base_sample(chains), (chains, *subject.data.shape))
        forwards = forward(path, start, part(subject.progress, 0, 1 / 2))
        end = checked(model, "sample", model.sample(chains), (chains, *subject.data.shape))
        backwards = reverse(path, end, part(subject.progress, 1 / 2, 1))
        below, below_stderr = base + log_mean_exp(forwards).item(), log_mean_exp_stderr(forwards)
        above, above_stderr = base - log_mean_exp(-backwards).item(), log_mean_exp_stderr(-backwards)

        log_f = checked(model, "log_unnormalized", model.log_unnormalized(x, 1.0), (len(x),)).double()
        mean, stderr = _mean(log_f)
        settings = {
            "n": len(x),
            "chains": chains,
            "temperatures": config.energy_temperatures,
            "log_z_lower": below,
            "log_z_upper": above,
            "direction": "forward chains bound log Z from below and log p(x) from above; reverse chains bound log Z "
            "from above and log p(x) from below, as far as the model's samples, which they start from, are exact",
        }
        return [
            *likelihood_numbers(
                "ais_", subject.data, "lower_bound", mean - above, math.hypot(stderr, above_stderr), settings
            ),
            Measurement(
                "ais_log_likelihood_upper",
                mean - below,
                "upper_bound",
                "higher",
                "nats",
                math.hypot(stderr, below_stderr),
                settings,
            ),
            _gap(above - below, math.hypot(above_stderr, below_stderr), settings),
        ]


class _EnergyPath(Path[Tensor]):
    """The path of an energy model, at equally spaced inverse temperatures; its states are data points."""

    def __init__(self, model: Unnormalized, length: int) -> None:
        self.model = model
        self.length = length

    def log_ratio(self, state: Tensor, t: int) -> Tensor:
        return self._log_f(state, t) - self._log_f(state, t - 1)

    def move(self, state: Tensor, t: int) -> Tensor:
        moved = self.model.transition(state, t / self.length)
        return checked(self.model, "transition", moved, tuple(state.shape))

    def _log_f(self, x: Tensor, t: int) -> Tensor:
        value = self.model.log_unnormalized(x, t / self.length)
        return checked(self.model, "log_unnormalized", value, (len(x),)).double()


def _mean(values: Tensor) -> tuple[float, float]:
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


def _gap(value: float, stderr: float, settings: dict[str, Any]) -> Measurement:
    flags = (INCONSISTENT,) if value < -4 * stderr else ()
    return Measurement("ais_gap", value, "estimate", "lower", "nats", stderr, settings, flags=flags)

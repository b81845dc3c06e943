"""How many codes of a codebook are in use, and what is the model worth without a learnt prior over them?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genbench.data import DataSpec
from genbench.metrics.base import Measurement, Metric, MetricError, NotApplicable, Subject, checked, choose
from genbench.metrics.coding import CHUNK
from genbench.metrics.gaps import entropy, leave_out
from genbench.metrics.likelihood import ROUNDING
from genbench.metrics.nats import likelihood_numbers
from genbench.metrics.resampling import GROUPS, Jackknifed, group_of, jackknife
from genbench.model import Quantized
from genbench.options import Options


class Codebook(Metric):
    """The codes that test points are given by a model with a codebook of K vectors (van den Oord et al. 2017).

    - `codebook_usage`: the share of the K codes that occur; more points can only add to it.
    - `codebook_perplexity`: exp of the entropy of how often each occurs, over points and positions, from 1 to K, less
      its bias of order 1/n.
    - `uniform_prior_…`: log p(x|c) - T ln K for the T codes c that x is given, a lower bound on log p(x) where all
      codes are equally probable. What `bits_per_dim` is below it, the learnt prior has gained.

    The standard errors of the first two are the jackknife's over test points, that of the last is of a mean over them.
    """

    class Config(Options):
        """Options of `codebook`."""

        n: int = Field(10_000, ge=2, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Quantized,)
    names: ClassVar[tuple[str, ...]] = (
        "codebook_usage",
        "codebook_perplexity",
        "uniform_prior_bits_per_dim",
        "uniform_prior_log_likelihood",
    )
    config: Config

    def quick(self) -> dict[str, Any]:
        return {"n": 500}

    def measure(self, subject: Subject) -> list[Measurement]:
        model, data = subject.model, subject.data
        size = int(model.codebook_size)
        index = choose(subject.test, self.config.n)
        if len(index) < 2:
            raise NotApplicable("needs at least two data points for an error bar")
        parts = [_observed(model, data, subject.test.batch(some).x) for some in index.split(CHUNK)]
        codes, log_p = (torch.cat(each) for each in zip(*parts, strict=True))
        n, positions = codes.shape
        counts = _counts(codes.cpu().numpy(), size)
        used, shannon = _jackknifed(_share_in_use, counts), _jackknifed(_perplexity, counts)
        log_uniform = positions * math.log(size)
        bound = log_p - log_uniform
        settings = {"n": n, "codebook_size": size, "positions": positions}
        few = ("fewer codes were looked at than the codebook has",) if n * positions < size else ()
        share = float(_share_in_use(counts[0]))
        return [
            Measurement(
                "codebook_usage",
                share,
                "lower_bound",
                "higher",
                stderr=used.stderr,
                settings=settings,
                interval=_within(share, used.margin, 0.0, 1.0),
                flags=few,
            ),
            Measurement(
                "codebook_perplexity",
                min(max(shannon.debiased, 1.0), float(size)),
                "estimate",
                "neither",
                stderr=shannon.stderr,
                settings={**settings, "plugin": float(_perplexity(counts[0]))},
                interval=_within(shannon.debiased, shannon.margin, 1.0, float(size)),
                flags=few,
            ),
            *likelihood_numbers(
                "uniform_prior_",
                data,
                "lower_bound",
                bound.mean().item(),
                bound.std().item() / math.sqrt(n),
                {**settings, "conditional_nats": -log_p.mean().item(), "code_nats": log_uniform},
            ),
        ]


def _observed(model: Any, data: DataSpec, x: Tensor) -> tuple[Tensor, Tensor]:
    """The codes `(B, T)` of `x` and log p(x|codes) `(B,)`, in nats, float64.

    Raises:
        MetricError: they aren't.
    """
    codes = checked(model, "codes", model.codes(x), (len(x), None))
    low, high = codes.min().item(), codes.max().item()
    if codes.is_floating_point() or low < 0 or high >= model.codebook_size:
        raise MetricError(
            f"{type(model).__name__}.codes returned {codes.dtype} from {low} to {high}, not integers below "
            f"{model.codebook_size}, the size of its codebook"
        )
    log_p = checked(model, "log_likelihood", model.log_likelihood(x, codes), (len(x),)).double()
    if data.levels is not None and log_p.max() > ROUNDING:
        raise MetricError(
            f"{type(model).__name__}.log_likelihood returned {log_p.max():.4g} nats for discrete data, a probability "
            f"above 1"
        )
    return codes, log_p


def _counts(codes: np.ndarray, size: int) -> np.ndarray:
    """How often each code occurs in `(n, T)`, in all and without each group of points: `(1 + groups, size)`."""
    groups = min(GROUPS, len(codes))
    cells = group_of(len(codes), groups)[:, None] * size + codes
    return leave_out(np.bincount(cells.ravel(), minlength=groups * size).reshape(groups, size))


def _share_in_use(counts: np.ndarray) -> np.ndarray:
    return (counts > 0).mean(-1)


def _perplexity(counts: np.ndarray) -> np.ndarray:
    return np.exp(entropy(counts))


def _jackknifed(statistic: Callable[[np.ndarray], np.ndarray], counts: np.ndarray) -> Jackknifed:
    whole, *without = statistic(counts).tolist()
    return jackknife(whole, without)


def _within(value: float, margin: float, low: float, high: float) -> tuple[float, float]:
    """`value` ± `margin`, cut off at `low` and `high`."""
    return min(max(value - margin, low), high), max(min(value + margin, high), low)

"""How many bits does a code cost, for how much error?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from genbench.metrics.base import PROTOCOL_SEED, Measurement, Metric, NotApplicable, Subject, choose, seeded
from genbench.metrics.coding import decode, encode, point_errors, some_points
from genbench.metrics.resampling import bootstrap
from genbench.model import Encoder, Reconstructor
from genbench.options import Options

#: Bits per dimension that codes are quantised to.
BITS = range(1, 9)
#: The error that is bought, as a multiple of that of the code as it is.
TOLERANCE = 1.1
#: The quantiles of training codes between which the cells lie, which outliers can't stretch.
QUANTILES = (0.001, 0.999)
#: A dimension that varies by less than this share of the widest one varies by rounding.
NEGLIGIBLE = 1e-6


class Compression(Metric):
    """What a model's code is worth as a lossy compression of test points.

    Each dimension of the code is quantised to 2^b uniform cells, which with an entropy coder is all but the best scalar
    quantiser (Gish & Pierce 1968), for b = 1 … 8. The rate is the cost of the cells under frequencies counted in
    training codes (one added to each): what an arithmetic coder would spend that treats dimensions as independent, so
    an upper bound on what is needed. The distortion is the mean squared error per dimension of what the model decodes
    from the cells' centroids.

    - `compression_bits`: bits per data point at the lowest rate at which the error is at most 1.1 times that of the
      code as it is, and
    - `compression_mse`: that error.

    Neither ranks models by itself: a code that loses nearly everything is cheap. If 8 bits per dimension don't suffice,
    both numbers are those of 8 bits, with a flag. A dimension that does not vary costs nothing. The settings hold the
    error of the unquantised code, and the rate and error for every b.
    """

    class Config(Options):
        """Options of `compression`."""

        n_train: int = Field(5000, ge=2, description="training points that the quantiser is fitted on, at most")
        n_test: int = Field(2000, ge=2, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Reconstructor,)
    names: ClassVar[tuple[str, ...]] = ("compression_bits", "compression_mse")
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        model = subject.model
        if type(model).decode is Reconstructor.decode:
            raise NotApplicable("the model has no way back from a code (`decode`)")
        if not isinstance(model, Encoder):
            raise NotApplicable("the model is no Encoder")
        with seeded(PROTOCOL_SEED, subject.device):  # data that is binarised anew at every access is one for all
            train = subject.train.batch(choose(subject.train, self.config.n_train)).x
        x = some_points(subject.test, self.config.n_test)
        known, codes = encode(model, train), encode(model, x)

        unquantised = point_errors(x, decode(model, codes, x)).mean().item()
        points = []
        for bits in BITS:
            quantiser = Quantiser.fit(known, bits)
            cells = quantiser.cells(codes)
            errors = point_errors(x, decode(model, quantiser.centroids(cells), x))
            points.append(_Point(bits, quantiser.bits(cells), errors))
            subject.progress(bits / BITS[-1])
        enough = [point for point in points if point.mse <= TOLERANCE * unquantised]
        chosen = min(enough, key=lambda point: point.rate) if enough else points[-1]

        settings: dict[str, Any] = {
            "n_train": len(train),
            "n_test": len(x),
            "dimension": codes.shape[1],
            "bits_per_code_dim": chosen.bits,
            "unquantised_mse": unquantised,
            "rate_distortion": [{"bits": point.rate, "mse": point.mse} for point in points],
        }
        too_few = f"{BITS[-1]} bits per dimension leave more than {TOLERANCE} times the error of the code as it is"
        flags = () if enough else (too_few,)
        if chosen.rate == 0:
            flags = (*flags, "the codes of training data are all the same")
        rate, error = bootstrap(chosen.rates), bootstrap(chosen.errors)
        shared: dict[str, Any] = {"better": "neither", "settings": settings, "flags": flags}
        return [
            Measurement(
                "compression_bits",
                rate.mean,
                "upper_bound",
                unit="bits",
                stderr=rate.stderr,
                interval=rate.interval,
                **shared,
            ),
            Measurement("compression_mse", error.mean, "exact", stderr=error.stderr, interval=error.interval, **shared),
        ]


@dataclass(frozen=True)
class _Point:
    """One point of the rate-distortion curve: bits and error of each data point, `(n,)` each."""

    bits: int
    rates: np.ndarray
    errors: np.ndarray

    @property
    def rate(self) -> float:
        return float(self.rates.mean())

    @property
    def mse(self) -> float:
        return float(self.errors.mean())


@dataclass(frozen=True)
class Quantiser:
    """Uniform cells in every dimension of a code, with their centroids and what it costs to name one.

    Attributes:
        low: where a dimension's first cell begins, `(d,)`; the outermost cells reach to infinity.
        step: their width, `(d,)`.
        last: the last cell, `(d,)`; 0 for a dimension that does not vary.
        centroid: the mean of the training codes in each cell, `(d, cells)`; its middle where there is none.
        cost: in bits, `(d, cells)`.
    """

    low: np.ndarray
    step: np.ndarray
    last: np.ndarray
    centroid: np.ndarray
    cost: np.ndarray

    @classmethod
    def fit(cls, codes: np.ndarray, bits: int) -> Quantiser:
        """From training codes `(n, d)`, with 2^bits cells per dimension."""
        count = 2**bits
        low, high = np.quantile(codes, QUANTILES, axis=0)
        varies = high - low > NEGLIGIBLE * (high - low).max()
        step = np.where(varies, (high - low) / count, 1.0)
        last = np.where(varies, count - 1, 0)
        entries = _entries(_cells(codes, low, step, last), count)
        shape = (codes.shape[1], count)
        counts = np.bincount(entries.ravel(), minlength=shape[0] * count).reshape(shape)
        sums = np.bincount(entries.ravel(), codes.ravel(), minlength=shape[0] * count).reshape(shape)
        middle = low[:, None] + (np.arange(count) + 0.5) * step[:, None]
        return cls(
            low,
            step,
            last,
            centroid=np.where(counts > 0, sums / np.maximum(counts, 1), middle),
            cost=np.log2((len(codes) + last + 1)[:, None] / (counts + 1)),
        )

    def cells(self, codes: np.ndarray) -> np.ndarray:
        """The cells that `codes` `(n, d)` fall into, `(n, d)`."""
        return _cells(codes, self.low, self.step, self.last)

    def centroids(self, cells: np.ndarray) -> np.ndarray:
        """The codes `(n, d)` that `cells` stand for."""
        return self.centroid.ravel()[_entries(cells, self.centroid.shape[1])]

    def bits(self, cells: np.ndarray) -> np.ndarray:
        """What it costs to name all cells of each code, `(n,)`."""
        return self.cost.ravel()[_entries(cells, self.cost.shape[1])].sum(1)


def _cells(codes: np.ndarray, low: np.ndarray, step: np.ndarray, last: np.ndarray) -> np.ndarray:
    return np.clip(np.floor((codes - low) / step), 0, last).astype(np.int64)


def _entries(cells: np.ndarray, count: int) -> np.ndarray:
    """Where `cells` `(n, d)` stand in a flattened table `(d, count)`."""
    return cells + count * np.arange(cells.shape[1])

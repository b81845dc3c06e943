"""A mean log-likelihood in nats, and for discrete data in bits per dimension."""

from __future__ import annotations

import math
from typing import Any

from genbench.data import DataSpec
from genbench.metrics.base import Kind, Measurement


def likelihood_numbers(
    prefix: str,
    data: DataSpec,
    kind: Kind,
    value: float,
    stderr: float | None,
    settings: dict[str, Any],
    flags: tuple[str, ...] = (),
) -> list[Measurement]:
    """`…log_likelihood`, and for discrete data `…bits_per_dim` before it: nats / (dims ln 2), of the opposite sign.

    Args:
        prefix: of both names.
        data: what the likelihood is of.
        kind: `"exact"` or `"lower_bound"`, of the log-likelihood.
        value: the mean, in nats per data point.
        stderr: its standard error, None where none is known.
        settings: of both numbers.
        flags: of both numbers.
    """
    found = [Measurement(f"{prefix}log_likelihood", value, kind, "higher", "nats", stderr, settings, flags=flags)]
    if data.levels is not None:
        scale = 1 / (data.dims * math.log(2))
        found.insert(
            0,
            Measurement(
                f"{prefix}bits_per_dim",
                -value * scale,
                "exact" if kind == "exact" else "upper_bound",
                "lower",
                "bits/dim",
                None if stderr is None else stderr * scale,
                settings,
                flags=flags,
            ),
        )
    return found

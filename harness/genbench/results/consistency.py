"""Contradictions in a record: its key, its hashes and its numbers are computed again from what it says.

That finds what was edited by hand, or damaged. It is no signature: whoever edits a record can compute all of it anew.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from genbench.plan.spec import canonical_hash, run_key, value_protocol
from genbench.results.schema import Record, Value

#: What of the number of dimensions may be rounding.
ROUNDING = 1e-6


def checksum(values: Iterable[Value]) -> str:
    """Hash (16 hex digits) of measured numbers with their errors, kinds and flags."""
    texts = (f"{v.name}={v.value!r}±{v.stderr!r}{v.interval!r}{v.kind}{v.flags!r}{v.points}" for v in values)
    return hashlib.sha256("\n".join(texts).encode(errors="surrogatepass")).hexdigest()[:16]


class Checker:
    """Finds contradictions in records; the protocols that many of them share are hashed once."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}

    def contradiction(self, record: Record) -> str:
        """In what a record contradicts itself, in words; empty where it does not, or is of schema 1, which says too
        little to tell."""
        if record.schema_ == 1:
            return ""
        spec, protocol = record.spec, record.protocol
        for name in ("dataset", "view", "budget"):
            if protocol.get(name) != getattr(spec, name):
                return f"its {name} is not that of its protocol"
        protocol_hash, value_hashes = self._protocol_hashes(record)
        if protocol_hash != record.protocol_hash:
            return "its protocol has another hash"
        if _key(record) != record.key:
            return "what was run has another key"
        if checksum(record.metrics) != record.checksum:
            return "its numbers have another checksum"
        return _of_values(record, value_hashes)

    def _protocol_hashes(self, record: Record) -> tuple[str, dict[str, str]]:
        """The hash of the protocol, and of what the numbers of each metric depend on, by the metric."""
        known = repr(record.protocol), repr(record.metric_protocols)  # unlike ==, they tell 1 from 1.0 and True
        if known not in self._hashes:
            whole = canonical_hash(record.protocol)[:12]
            own = {name: value_protocol(whole, name, part) for name, part in record.metric_protocols.items()}
            self._hashes[known] = whole, own
        return self._hashes[known]


def _key(record: Record) -> str:
    plugin = record.provenance.get("plugin")
    known: Mapping[str, Any] = plugin if isinstance(plugin, Mapping) else {}
    return run_key(
        {name: getattr(record.spec, name) for name in type(record.spec).model_fields}
        | {"plugin": [known.get("distribution"), known.get("version")], "source": known.get("source")}
        | {"fingerprint": record.protocol.get("fingerprint")}
    )


def _of_values(record: Record, hashes: Mapping[str, str]) -> str:
    values = {value.name: value for value in record.metrics}
    for name, value in values.items():
        if hashes.get(value.metric) != value.protocol:
            return f"the protocol of {name} has another hash"
        partner = values.get(name.removesuffix("bits_per_dim") + "log_likelihood")
        if name.endswith("bits_per_dim") and partner is not None and not _same_likelihood(value.value, partner.value):
            return f"{name} and {partner.name} are two likelihoods"
    return ""


def _same_likelihood(bits: float, nats: float) -> bool:
    """True where some whole number of dimensions turns nats per data point into bits per dimension."""
    if not bits or not nats:
        return bits == nats
    dimensions = -nats / (bits * math.log(2))
    return abs(dimensions - max(1, round(dimensions))) <= ROUNDING * dimensions

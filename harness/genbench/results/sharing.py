"""Equal parts of many records, held once."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from genbench.results.schema import Record

_set = object.__setattr__


class Sharing:
    """Makes records of one folder share what is equal in them.

    Two runs of one model under one protocol differ in their numbers, but hardly in the protocol, the configuration and
    the settings behind the numbers, which take most of the room. Shared parts must not be changed.
    """

    def __init__(self) -> None:
        self._known: defaultdict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
        self._settings: defaultdict[tuple[str, str], dict[str, Any]] = defaultdict(dict)

    def knows_protocol(self, record: Record) -> bool:
        """Whether a record like this one has had the same protocol."""
        known = self._known.get((record.protocol_hash, record.spec.label), {})
        return bool(known.get("protocol") == record.protocol)

    def share(self, record: Record) -> None:
        """Put in place of this record's parts the equal ones of a record like it before."""
        spec, budget = record.spec, record.budget
        known = self._known[record.protocol_hash, spec.label]
        for owner, name in (
            (record, "protocol"),
            (record, "metric_protocols"),
            (record, "capabilities"),
            (record, "unmeasured"),
            (spec, "config"),
            (spec, "metrics"),
        ):
            _set(owner, name, _first(known, name, getattr(owner, name)))
        for name, part in record.provenance.items():
            if isinstance(part, dict | list):
                record.provenance[name] = _first(known, f"provenance {name}", part)
        settings = self._settings[record.protocol_hash, spec.label]
        for value in record.metrics:  # of these there are the most
            before, now = settings.get(value.name), value.settings
            if before == now:
                _set(value, "settings", before)
            else:
                settings[value.name] = now
        for model in (record, spec, budget, budget.allowed, budget.used):
            # pydantic keeps a set of the names of the fields that were given, larger than the fields, with every object
            names = _first(known, type(model).__name__, model.__pydantic_fields_set__)
            _set(model, "__pydantic_fields_set__", names)


def _first(known: dict[str, Any], name: str, part: Any) -> Any:
    """The part of this name that is known, if it is equal; else this is the one from now on."""
    before = known.get(name)
    if before == part:
        return before
    known[name] = part
    return part

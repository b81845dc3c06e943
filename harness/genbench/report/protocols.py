"""What a protocol is called, and in what several of them differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genbench.results.schema import Record

#: Terminal escapes, control characters, marks that reverse what follows, and halves of surrogate pairs, which no file
#: can hold.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Nested values that are written out: a foreign document may have more than Python's stack.
LEVELS = 16
_HASH = re.compile(r"[0-9a-f]{17,}")


def plain(text: str) -> str:
    """The text without terminal escapes (colours in a log), control characters and what else is not shown but
    changes what is; tabs and newlines are kept."""
    return _CONTROL.sub("", text)


def one_line(value: Any, levels: int = LEVELS) -> str:
    """Any JSON value as one line of text, `…` for what is nested more deeply than so many levels."""
    if isinstance(value, str):
        return " ".join(plain(value).split())
    if isinstance(value, Mapping | list | tuple) and not levels:
        return "…"
    if isinstance(value, Mapping):
        parts = (f"{one_line(str(name))} {one_line(item, levels - 1)}" for name, item in value.items())
        return ", ".join(parts) or "–"
    if isinstance(value, list | tuple):
        return " ".join(one_line(item, levels - 1) for item in value) or "–"
    return json.dumps(value)


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted names, each in one line."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        dotted = f"{prefix}{one_line(name)}"
        if isinstance(value, Mapping) and value and dotted.count(".") < LEVELS:
            flat |= flatten(value, f"{dotted}.")
        else:
            flat[dotted] = value
    return flat


def differences(protocols: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """For each protocol its values of the fields in which not all agree, by dotted name; `–` where it has no such
    field. Long hashes are cut to 12 digits."""
    flat = [{name: one_line(value) for name, value in flatten(protocol).items()} for protocol in protocols]
    names = dict.fromkeys(name for protocol in flat for name in protocol)
    split = [name for name in names if len({protocol.get(name) for protocol in flat}) > 1]
    return [{name: _short(protocol.get(name, "–")) for name in split} for protocol in flat]


def _short(text: str) -> str:
    return _HASH.sub(lambda match: f"{match[0][:12]}…", text)


def heading(record: Record) -> list[str]:
    """Data, budget and, where numbers depend on it, hardware: what was held fixed for this record."""
    hardware = record.protocol.get("hardware")
    fixed = [one_line(record.spec.data), f"budget {one_line(record.spec.budget)}"]
    return [*fixed, _hardware(hardware)] if isinstance(hardware, Mapping) and hardware else fixed


def row_label(record: Record) -> str:
    """The model's label, with the precision, compilation and choice of weights where they are not the usual ones."""
    spec = record.spec
    unusual = [
        one_line(spec.precision) if spec.precision != "fp32" else "",
        "compiled" if spec.compile else "",
        f"{spec.select} weights" if spec.select != "best" else "",
    ]
    return " · ".join([one_line(spec.label), *filter(None, unusual)])


def _hardware(parts: Mapping[str, Any]) -> str:
    """The device's name, then what else is known of it: `Some CPU, 2 threads`."""
    first, *others = [(name, value) for name, value in parts.items() if value is not None]
    return ", ".join(
        [one_line(first[1]), *(_count(*part) if isinstance(part[1], int) else one_line(part) for part in others)]
    )


def _count(name: str, value: int) -> str:
    return f"{value} {name.removesuffix('s') if value == 1 else name}"


def distinct_values(documents: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The distinct values of every dotted field, one value where all documents agree."""
    values: dict[str, dict[str, None]] = {}
    known: dict[tuple[str, int], Any] = {}  # records share what is equal in them
    for document in documents:
        new = {name: part for name, part in document.items() if (name, id(part)) not in known}
        known |= {(name, id(part)): part for name, part in new.items()}
        for name, value in flatten(new).items():
            values.setdefault(name, {})[one_line(value)] = None
    return {name: list(found) for name, found in values.items()}

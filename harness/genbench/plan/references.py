"""References to models, datasets and metrics: `vae`, `vae[latent_dim=2,beta=4]`, sweeps `vae[latent_dim=2|8|16]`."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from genbench.errors import UsageError, unknown
from genbench.options import Options

C = TypeVar("C", bound=Options)
#: What one sweep may stand for, at most.
MOST_REFERENCES = 100_000
_REFERENCE = re.compile(r"([^\[\]=|,\s]+)(?:\[(.*)\])?", re.DOTALL)


@dataclass(frozen=True)
class Reference:
    """A name with options as the user wrote them, or as a record has them, not yet checked against anything."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """The text that `parse` reads back."""
        return reference_text(self.name, self.options)


def reference_text(name: str, options: dict[str, Any]) -> str:
    """`name[option=value,…]`, or the bare name where there are no options."""
    if not options:
        return name
    return f"{name}[{','.join(f'{key}={_plain(value)}' for key, value in options.items())}]"


def split_references(text: str) -> list[str]:
    """The references in a comma-separated list, as text.

    Raises:
        UsageError: its brackets don't match.
    """
    return [part.strip() for part in _split(text, ",", text)]


def parse_references(text: str) -> list[Reference]:
    """The references in a comma-separated list, sweeps expanded in the order written.

    Raises:
        UsageError: brackets or options are malformed, or an option stands twice.
    """
    return [reference for part in split_references(text) for reference in _expand(part)]


def validate(cls: type[C], reference: Reference, what: str) -> C:
    """The options of a reference as a `cls`.

    Raises:
        UsageError: an option is unknown or its value is refused; the message names both and what would be accepted.
    """
    for name in reference.options:
        if name not in cls.model_fields:
            raise UsageError(f"{what} '{reference.name}': {unknown('option', name, cls.model_fields)}")
    values = dict(reference.options)
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        # what is no string (lists, numbers of a fixed set, none) is read as JSON
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            if isinstance(values.get(name), str):
                values[name] = _json(values[name])
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        if not problem["loc"]:
            raise UsageError(f"{what} '{reference.name}': {problem['msg'].removeprefix('Value error, ')}") from None
        name = str(problem["loc"][0])
        given = f"={reference.options[name]}" if name in reference.options else ""
        raise UsageError(f"{what} '{reference.name}', option {name}{given}: {problem['msg'].lower()}") from None


def changed(options: Options) -> dict[str, Any]:
    """The options that differ from their defaults."""
    values = options.model_dump(mode="json")
    defaults = {name: f.get_default(call_default_factory=True) for name, f in type(options).model_fields.items()}
    return {name: value for name, value in values.items() if getattr(options, name) != defaults[name]}


def _expand(text: str) -> Iterator[Reference]:
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise UsageError(f"malformed reference '{text}': write name or name[option=value,option=value]")
    name, inside = match[1], match[2]
    choices: dict[str, list[str]] = {}
    for part in _split(inside, ",", text) if inside else []:
        option, equals, value = part.partition("=")
        option = option.strip()
        if not equals or not option:
            raise UsageError(f"malformed reference '{text}': '{part.strip()}' is not option=value")
        if option in choices:
            raise UsageError(f"malformed reference '{text}': option '{option}' stands twice")
        choices[option] = [value.strip() for value in _split(value, "|", text)]
    if (count := math.prod(map(len, choices.values()))) > MOST_REFERENCES:
        raise UsageError(f"'{name}' is asked for with {count:,} settings: a plan has room for {MOST_REFERENCES:,}")
    for values in itertools.product(*choices.values()):
        yield Reference(name, dict(zip(choices, values, strict=True)))


def _split(text: str, separator: str, whole: str) -> list[str]:
    """`text` at the separators outside brackets."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth < 0:
            break
        if character == separator and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    if depth != 0:
        raise UsageError(f"malformed reference '{whole}': its brackets don't match")
    return [*parts, text[start:]]


def _json(value: str) -> Any:
    if value.lower() == "none":
        return None
    try:
        return json.loads(value)
    except ValueError:
        return value


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value, separators=(",", ":"))

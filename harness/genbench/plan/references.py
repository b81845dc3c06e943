"""References to models, datasets and metrics: `vae`, `vae[latent_dim=2,beta=4]`, sweeps `vae[latent_dim=2|8|16]`.

A value that holds a character of this syntax stands in quotes: `folder[path="run=3,lr=0.1",size=8]`.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from genbench.errors import GenbenchError, UsageError, printable, unknown
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
    """`name[option=value,…]`, or the bare name where there are no options; values are quoted where they must be."""
    if not options:
        return name
    return f"{name}[{','.join(f'{key}={_written(value)}' for key, value in options.items())}]"


def split_references(text: str) -> list[str]:
    """The references in a comma-separated list, as text.

    Raises:
        UsageError: its brackets don't match, or a quote is not closed.
    """
    return [part.strip() for part in _split(text, ",", text)]


def parse_references(text: str) -> list[Reference]:
    """The references in a comma-separated list, sweeps expanded in the order written.

    Raises:
        UsageError: brackets, quotes or options are malformed, or an option stands twice.
    """
    return [reference for part in split_references(text) for reference in _expand(part)]


def validate(cls: type[C], reference: Reference, what: str) -> C:
    """The options of a reference as a `cls`.

    Raises:
        UsageError: an option is unknown or its value is refused; the message names both and what would be accepted.
        GenbenchError: its own code fails.
    """
    for name in reference.options:
        if name not in cls.model_fields:
            raise UsageError(f"{what} '{reference.name}': {unknown('option', name, cls.model_fields)}")
    try:
        return _validated(cls, reference, what)
    except GenbenchError:
        raise
    except Exception as error:
        reason = printable(" ".join(str(error).split())) or "no message"
        raise GenbenchError(f"{what} '{reference.name}': its Config raises {type(error).__name__}: {reason}") from error


def _validated(cls: type[C], reference: Reference, what: str) -> C:
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
        choices[option] = [_unquoted(value.strip(), text) for value in _split(value, "|", text)]
    if (count := math.prod(map(len, choices.values()))) > MOST_REFERENCES:
        raise UsageError(f"'{name}' is asked for with {count:,} settings: a plan has room for {MOST_REFERENCES:,}")
    for values in itertools.product(*choices.values()):
        yield Reference(name, dict(zip(choices, values, strict=True)))


def _split(text: str, separator: str, whole: str) -> list[str]:
    """`text` at the separators outside brackets and quotes. A quote opens where a value begins, and nowhere else: the
    apostrophe in `path=it's` is one."""
    parts, depth, start = [], 0, 0
    quote, before, escaped = "", "=", False
    for position, character in enumerate(text):
        if quote:
            closes = character == quote and not escaped
            escaped = character == "\\" and quote == '"' and not escaped
            quote = "" if closes else quote
        elif character in "\"'" and before in "=|[,":
            quote = character
        else:
            depth += (character == "[") - (character == "]")
            if depth < 0:
                break
            if character == separator and depth == 0:
                parts.append(text[start:position])
                start = position + 1
        before = before if character.isspace() else character
    if quote:
        raise UsageError(f"malformed reference '{whole}': a quote is not closed")
    if depth != 0:
        raise UsageError(f"malformed reference '{whole}': its brackets don't match (values with brackets need quotes)")
    return [*parts, text[start:]]


def _unquoted(value: str, whole: str) -> str:
    """A value without its quotes: `"…"` has the escapes of JSON and TOML, `'…'` has none."""
    if not value.startswith(('"', "'")):
        return value
    if value[0] == "'" and value.find("'", 1) == len(value) - 1:
        return value[1:-1]
    try:
        if value[0] == '"':
            return str(json.loads(value, strict=False))
    except ValueError:
        pass
    how = "write '…', or \"…\" with the escapes of JSON"
    raise UsageError(f"malformed reference '{whole}': {value} is not one value in quotes: {how}")


def _json(value: str) -> Any:
    if value.lower() == "none":
        return None
    try:
        return json.loads(value)
    except ValueError:
        return value


def _written(value: Any) -> str:
    """A value as text that is read back as the same: in quotes where the syntax of references would misread it."""
    if not isinstance(value, str):
        value = "none" if value is None else json.dumps(value, separators=(",", ":"))
    if value.isprintable() and _reads_back(value):
        return str(value)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in json.dumps(value, ensure_ascii=False))


def _reads_back(value: str) -> bool:
    try:
        return list(_expand(f"name[option={value}]")) == [Reference("name", {"option": value})]
    except UsageError:
        return False

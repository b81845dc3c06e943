"""Plain, bounded data out of whatever foreign code returns or raises: text, numbers, lists and dicts that any file or
connection can hold. Nothing here raises for what a value's own code does, and nothing here needs torch."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Iterable, Mapping
from enum import Enum
from numbers import Number
from pathlib import PurePath
from typing import Any

#: Characters of a name, of a message and of a traceback that are kept.
NAME, MESSAGE, TRACEBACK = 100, 2000, 4000
#: Of one document: nested levels, items of one container, and items altogether, that are kept.
LEVELS, ITEMS, ALL_ITEMS = 8, 1000, 10_000
#: Scalars of one training step that are kept.
SCALARS = 100
#: The largest number that is kept, by its size: readers take squares, differences and sums, which must be finite too.
LARGEST = 1e150
#: Integers of more bits are told by their size: a reader may have no place for them.
BITS = 64
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain_text(value: object, limit: int = MESSAGE) -> str:
    """`str(value)` in at most `limit` characters that any file and terminal can take.

    Terminal escapes are left out, other control characters and halves of surrogate pairs replaced; tabs and newlines
    stay. A longer text ends with `…`; an object whose `__str__` raises is called by its type.
    """
    text = _text(value)
    cut = _UNPRINTABLE.sub("\ufffd", _ESCAPE.sub("", text[: limit + 1]))
    return cut[: limit - 1] + "…" if len(text) > limit else cut


def plain_line(value: object, limit: int = MESSAGE) -> str:
    """`plain_text` on one line, with single spaces."""
    return " ".join(plain_text(value, limit).split())


def type_name(value: object) -> str:
    """The name of an object's class on one line."""
    try:
        return plain_line(type(value).__name__, NAME) or "object"
    except BaseException:  # a metaclass may do anything
        return "object"


def kind_text(value: object) -> str:
    """An object by its class, with an article: `a Tensor`, `an int`, `None`."""
    name = type_name(value)
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def error_message(error: BaseException) -> str:
    """The message of an exception on one line; `no message` where there is none."""
    return plain_line(error) or "no message"


def error_text(error: BaseException) -> str:
    """An exception as `Type: message` on one line."""
    return f"{type_name(error)}: {error_message(error)}"


def traceback_text(error: BaseException) -> str:
    """The end of an exception's traceback; a long message leaves room for the lines that led to the exception."""
    try:
        lines = [plain_text(line, TRACEBACK // 4) for line in traceback.format_exception(error)]
    except BaseException:  # formatting runs the exception's own code
        return error_text(error)
    return "\n".join(line.rstrip("\n") for line in lines)[-TRACEBACK:]


def one_number(value: object) -> float | None:
    """A number, or anything of one number such as a tensor, as a float; None for anything else."""
    if isinstance(value, str | bytes):
        return None
    try:
        return float(value.item() if hasattr(value, "item") else value)  # type: ignore[arg-type]  # tried out
    except BaseException:  # runs the object's own code
        return None


def plain_number(value: object) -> float | None:
    """`one_number` where it is finite, and no larger than `LARGEST`."""
    number = one_number(value)
    return number if number is not None and abs(number) <= LARGEST else None


def plain_scalars(scalars: Mapping[Any, Any]) -> tuple[dict[str, float], list[str]]:
    """The scalars of a training step as names and finite numbers, at most `SCALARS` of them and `"loss"` first.

    Returns:
        The numbers, and a line on each kind of thing that was left out.
    """
    numbers: dict[str, float] = {}
    left_out: list[str] = []
    for place, (key, value) in enumerate(_loss_first(scalars)):
        if place == SCALARS:
            left_out.append(f"all but {SCALARS} of {len(scalars)} scalars")
            break
        name, number = plain_line(key, NAME), plain_number(value)
        if number is None:
            left_out.append(f"the scalar '{name}', which is no finite number")
        else:
            numbers[name] = number
    return numbers, left_out


def _loss_first(scalars: Mapping[Any, Any]) -> Iterable[tuple[Any, Any]]:
    if "loss" in scalars:
        yield "loss", scalars["loss"]
    for key, value in scalars.items():
        if key != "loss":
            yield key, value


def plain_value(value: object) -> Any:
    """`value` as JSON has it: dicts with text as keys, lists, text, finite numbers, booleans and None.

    Arrays and tensors become lists of numbers, sets sorted lists, enums their values, paths text. What JSON has no
    word for (an object, an infinite number, a huge array) becomes a text that says what it was.
    """
    return _Plain().value(value, LEVELS)


class _Plain:
    """Makes one document plain, and counts what it holds."""

    def __init__(self) -> None:
        self.left = ALL_ITEMS

    def value(self, value: object, levels: int) -> Any:
        """One value, with at most so many levels below."""
        self.left -= 1
        try:
            return self._value(value, levels)
        except BaseException:  # foreign objects run code of their own
            return f"<{type_name(value)}>"

    def _value(self, value: Any, levels: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self.value(value.value, levels - 1) if levels else "…"
        if isinstance(value, str | PurePath):
            return plain_text(value)
        if isinstance(value, int):
            return int(value) if value.bit_length() <= BITS else f"<an integer of {value.bit_length()} bits>"
        if isinstance(value, Mapping | list | tuple | set | frozenset) and not levels:
            return "…"
        if isinstance(value, Mapping):
            return self._dict(value, levels)
        if isinstance(value, set | frozenset):
            return sorted(self._list(value, levels), key=str)
        if isinstance(value, list | tuple):
            return self._list(value, levels)
        if hasattr(value, "tolist") and hasattr(value, "shape"):
            return self._array(value, levels)
        if isinstance(value, Number) or hasattr(value, "__float__"):
            number = plain_number(value)
            return plain_text(value, NAME) if number is None else number
        return f"<{type_name(value)}>"

    def _array(self, value: Any, levels: int) -> Any:
        if math.prod(value.shape) > ITEMS:
            return f"<{type_name(value)} of shape {tuple(int(size) for size in value.shape)}>"
        return self.value(value.tolist(), levels)

    def _list(self, values: Iterable[Any], levels: int) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if len(found) == ITEMS or self.left <= 0:
                return [*found, "…"]
            found.append(self.value(value, levels - 1))
        return found

    def _dict(self, values: Mapping[Any, Any], levels: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            if len(found) == ITEMS or self.left <= 0:
                return found | {"…": f"{len(values)} altogether"}
            found[plain_text(key, NAME)] = self.value(value, levels - 1)
        return found


def _text(value: object) -> str:
    try:
        return str.__str__(str(value))
    except BaseException:  # `__str__` is foreign code
        return f"<{type_name(value)} without text>"

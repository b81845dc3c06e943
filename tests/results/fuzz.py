"""Damage done to records and artifacts, the same for the same seed."""

import copy
import json
import random

#: JSON values that few expect, as the text that stands in a record.
NUMBERS = (
    *("0", "-1", "1", "2", "NaN", "Infinity", "-Infinity", "1e999", "-0.0", "5e-324", "1e-310", "1e-160", "0.1"),
    *("1.7976931348623157e308", "-1e308", "1e200", "1e160", "1e120", "-1e101", "1e99", "1e40", "1e18", "-5", "2.5"),
    *("9007199254740993", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" * 25, "1e-9"),
    *("9" * 309, "9" * 5000, "1" + "0" * 4290),
)
STRINGS = (
    *('""', '"x"', '"\\ud800"', '"\\u0000"', '"\\u001b[2J"', '"\\u202e"', '"\\ufeff"', '"=1+1"', '"$x_{"', '"NaN"'),
    *('"\\n\\r\\t"', '"\\ud83d\\ude00"', '"1"', '"ok"', '"failed"', '"pca"', '"likelihood"', '"bits_per_dim"'),
    *('"../../x"', '"2024-01-01"', '"reference"', '"cpu"', '"lower_bound"', '"higher"', '"not_applicable"', '"30s"'),
    *('"' + "x" * 100_000 + '"', '"' + "a,[b" * 3_000 + '"', '"_"', '"digits"', '"\\u0661"', '"\\u00b2"'),
)
CONTAINERS = (
    *("[]", "{}", "[[]]", "[null]", '[{"x": []}]', '{"value": 1}', '[{"variables": 2}]', "[1, 2]", "[2, 1]", "[0, 0]"),
    *("[" * levels + "]" * levels for levels in (20, 150, 185, 240, 2_000)),
    *('{"x":' * levels + "1" + "}" * levels for levels in (20, 150, 185, 240)),
    *("[" + "1," * 20_000 + "1]", "[" + '"a",' * 20_000 + '"a"]'),
)
ODD = (*NUMBERS, *STRINGS, *CONTAINERS, "null", "true", "false")
#: What stands in a record until it is text.
_MARK = "@@odd "


def damaged_record(document, rng):
    """The bytes of a record with one to three faults."""
    document, odd = copy.deepcopy(document), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _change(document, rng, odd)
    text = json.dumps(document, indent=rng.choice((None, 1)))
    for number, value in enumerate(odd):
        text = text.replace(f'"{_MARK}{number}"', value)
    return damaged_bytes(text.encode(), rng, _ENCODINGS) if rng.random() < 0.1 else text.encode()


def damaged_bytes(content, rng, more=()):
    """The content cut, with bits that are turned, with a part of it twice or with none, or as `more` has it."""
    return rng.choice((_cut, _flip, _flip, _flip, _twice, _without, *more))(content, rng)


def _change(document, rng, odd):
    """Change one value, name or item somewhere in the document, often high up, where the fields are."""
    parent, place = _somewhere(document, rng)
    what = rng.random()
    if what < 0.6:
        parent[place] = _odd(rng, odd, like=parent[place])
    elif what < 0.65:
        del parent[place]
    elif what < 0.8 and isinstance(parent, dict):
        parent[f"{place}{rng.choice(('', '.', 'x', chr(0xD800)))}" or "x"] = _odd(rng, odd)
    elif what < 0.9 and isinstance(parent, list):
        parent.extend(copy.deepcopy(rng.choices(parent, k=rng.choice((1, 3)))))
    else:
        other, from_there = _somewhere(document, rng)
        parent[place] = copy.deepcopy(other[from_there])


def _somewhere(document, rng):
    here = document
    while True:
        place = rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
        if here is document and not isinstance(here[place], dict | list) and rng.random() < 0.9:
            continue
        if not isinstance(here[place], dict | list) or not here[place] or rng.random() < 0.04:
            return here, place
        here = here[place]


def _odd(rng, odd, like=None):
    """A mark in place of an odd value, mostly of the same type as the one before."""
    same = {str: STRINGS, int: NUMBERS, float: NUMBERS, dict: CONTAINERS, list: CONTAINERS}.get(type(like), ODD)
    odd.append(rng.choice(same if rng.random() < 0.8 else ODD))
    return f"{_MARK}{len(odd) - 1}"


def _cut(content, rng):
    return content[: rng.randrange(len(content))]


def _flip(content, rng):
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 30))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _twice(content, rng):
    start = rng.randrange(len(content))
    return content[: start + rng.randrange(200)] + content[start:]


def _without(content, rng):
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.randrange(200) :]


_ENCODINGS = (
    lambda content, rng: b"\xef\xbb\xbf" + content,
    lambda content, rng: content.decode().encode("utf-16"),
    lambda content, rng: content.replace(b'"label"', b'"label": "\xe9", "label"'),
    lambda content, rng: content.replace(b'"seed"', b'"seed": 1, "seed"'),
    lambda content, rng: content + b"\n" * rng.randrange(9) + rng.choice((b"", b"x", b"{}", b"\x00")),
)


def seeds(count):
    """As many seeds as are asked for, in an order that is always the same."""
    return [random.Random(number) for number in range(count)]  # noqa: S311 (nothing secret)

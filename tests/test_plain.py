"""Whatever foreign code hands over becomes plain, bounded data, and nothing raises on the way."""

import enum
import json
import math
from collections import UserDict
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench import plain
from genbench.plain import error_text, plain_line, plain_number, plain_scalars, plain_text, plain_value, traceback_text


class Part(enum.Enum):
    RECON = "recon"


class TextPart(enum.StrEnum):
    RECON = "recon"


class Mute:
    def __str__(self):
        raise SystemExit("no text")

    __repr__ = __str__


class MuteError(Exception):
    def __str__(self):
        raise ValueError("no text")


class Wrong(Exception):
    def __str__(self):
        return 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain ünd\n\ttext", "plain ünd\n\ttext"),
        ("a\x00b\x1b[2Jc\x07", "a\ufffdbc\ufffd"),
        ("\udcff\u202e", "\ufffd\ufffd"),
        (TextPart.RECON, "recon"),
        (3, "3"),
        (Mute(), "<Mute without text>"),
        ("x" * 11, "x" * 9 + "…"),
        ("x" * 10, "x" * 10),
    ],
)
def test_text_can_be_written_anywhere(value, text):
    found = plain_text(value, limit=10 if isinstance(value, str) and value[:2] == "xx" else 100)
    assert found == text
    assert type(found) is str
    found.encode()


def test_a_line_is_one_line():
    assert plain_line("  a\n b\t c ") == "a b c"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\nlines"), "ValueError: two lines"),
        (ValueError(), "ValueError: no message"),
        (MuteError(), "MuteError: <MuteError without text>"),
        (Wrong(), "Wrong: <Wrong without text>"),
        (type("Odd\n\x1bName", (Exception,), {})("x"), "Odd \ufffdName: x"),
        (ExceptionGroup("many", [ValueError(1), ValueError(2)]), "ExceptionGroup: many (2 sub-exceptions)"),
    ],
)
def test_an_exception_is_one_line(error, text):
    assert error_text(error) == text
    assert traceback_text(error).strip()


def test_a_huge_message_leaves_room_for_the_traceback():
    def deep():
        raise ValueError("x" * 3_000_000)

    with pytest.raises(ValueError, match="xxx") as raised:
        deep()
    assert len(error_text(raised.value)) < plain.MESSAGE + 20
    text = traceback_text(raised.value)
    assert len(text) <= plain.TRACEBACK
    assert "in deep" in text


def test_endless_recursion_has_a_traceback():
    def deeper(n):
        return deeper(n + 1) + 1

    with pytest.raises(RecursionError) as raised:
        deeper(0)
    assert "deeper" in traceback_text(raised.value)
    assert error_text(raised.value).startswith("RecursionError: maximum recursion depth exceeded")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (np.float32(0.5), 0.5),
        (np.array([2.0]), 2.0),
        (torch.tensor(3), 3.0),
        (torch.tensor([4.0], requires_grad=True), 4.0),
        (True, 1.0),
        (Decimal("1.5"), 1.5),
        (float("nan"), None),
        (torch.tensor(float("inf")), None),
        (torch.zeros(3), None),
        (torch.zeros((), device="meta"), None),
        ("1.0", None),
        (1j, None),
        (None, None),
        (10**400, None),
        (Mute(), None),
    ],
)
def test_one_number_is_a_finite_float_or_none(value, number):
    found = plain_number(value)
    assert found == number
    assert found is None or type(found) is float


def test_scalars_are_few_finite_numbers_under_plain_names():
    odd = {
        Part.RECON: torch.tensor(1.0),
        TextPart.RECON: np.float64(2.0),
        3: 3.0,
        "\x1b[31mred\n": 4.0,
        "\udcff": 5.0,
        "x" * 500: 6.0,
        "vector": torch.zeros(3),
        "nan": float("nan"),
        "loss": torch.tensor(0.5),
    }
    numbers, left_out = plain_scalars(odd)
    named = {"loss": 0.5, "Part.RECON": 1.0, "recon": 2.0, "3": 3.0, "red": 4.0, "\ufffd": 5.0}
    assert numbers == named | {"x" * 99 + "…": 6.0}
    assert all(type(name) is str for name in numbers)
    assert left_out == [f"the scalar '{name}', which is no finite number" for name in ("vector", "nan")]


def test_of_very_many_scalars_the_first_are_kept_and_loss_among_them():
    numbers, left_out = plain_scalars({f"k{i}": 1.0 for i in range(200_000)} | {"loss": 2.0})
    assert len(numbers) == plain.SCALARS
    assert numbers["loss"] == 2.0
    assert left_out == ["all but 100 of 200001 scalars"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"k": 5, "names": ["a", "b"], "n": None, "yes": True}, {"k": 5, "names": ["a", "b"], "n": None, "yes": True}),
        ((1, 2.5), [1, 2.5]),
        (torch.tensor([1.5, 2.0], requires_grad=True), [1.5, 2.0]),
        (torch.tensor(2), 2),
        (torch.zeros(40, 50), "<Tensor of shape (40, 50)>"),
        (torch.zeros(2, device="meta"), "<Tensor>"),
        (torch.eye(2).to_sparse(), "<Tensor>"),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.arange(3), [0, 1, 2]),
        (np.datetime64("2020-01-01"), "<date>"),
        (float("nan"), "nan"),
        ([float("-inf")], ["-inf"]),
        (1 + 2j, "(1+2j)"),
        (Decimal("0.25"), 0.25),
        (10**30, "<an integer of 100 bits>"),
        (Path("/a/b"), "/a/b"),
        ({"b", "a"}, ["a", "b"]),
        (Part.RECON, "recon"),
        (TextPart.RECON, "recon"),
        (UserDict({Part.RECON: 1, 2: b"x"}), {"Part.RECON": 1, "2": "<bytes>"}),
        (object(), "<object>"),
        (Mute(), "<Mute>"),
        (len, "<builtin_function_or_method>"),
        ("\udcff\x00", "\ufffd\ufffd"),
    ],
)
def test_any_value_is_a_json_document(value, found):
    assert plain_value(value) == found
    assert json.loads(json.dumps(plain_value(value), allow_nan=False).encode()) == found


def test_an_endless_or_enormous_value_ends():
    endless = []
    endless.append(endless)
    assert "…" in json.dumps(plain_value(endless), ensure_ascii=False)
    enormous = [[[0] * 1000] * 1000] * 1000
    assert len(json.dumps(plain_value(enormous))) < 20 * plain.ALL_ITEMS
    many = plain_value({f"k{i}": i for i in range(200_000)})
    assert len(many) == plain.ITEMS + 1
    assert many["…"] == "200000 altogether"
    assert math.isfinite(many["k0"])

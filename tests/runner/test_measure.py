"""A metric that goes wrong fails by itself, with its reason; how long each takes is told."""

import enum
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Split
from genbench.metrics.base import Measurement, Metric
from genbench.options import Options
from genbench.runner.measure import measure, measure_quickly, quick_metrics
from genbench.runner.overstayed import Overstayed
from genbench.runner.subject import make_subject


@pytest.fixture
def subject(tmp_path):
    splits = [Split(np.zeros((4, 2), dtype=np.float32)) for _ in range(3)]
    dataset = Dataset("flat", DataSpec((2,), "continuous"), *splits, family="flat")
    return make_subject(dataset, torch.device("cpu"), 0, tmp_path)


class Sound(Metric):
    names = ("sound",)

    def measure(self, subject):
        return [Measurement("sound", 1.0, "exact", "lower")]

    def quick(self):
        return {}


def giving(*measurements, **attributes):
    """A metric that gives these."""
    body = {"measure": lambda self, subject: list(measurements), "names": ("odd",), "quick": lambda self: {}}
    return type("Odd", (Metric,), body | attributes)(Options())


def number(**changes):
    return Measurement(**{"name": "odd", "value": 1.0, "kind": "exact", "better": "lower"} | changes)


def answers(subject, odd):
    took = {}
    metrics = {"odd": odd, "sound": Sound(Options())}
    found = list(measure(subject, metrics, {"odd": "p", "sound": "q"}, lambda _: None, took.__setitem__))
    assert took.keys() == metrics.keys()
    assert all(seconds >= 0 for seconds in took.values())
    return found


class Part(enum.Enum):
    ONE = "one"


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raising(error):
    def measure(self, subject):
        raise error

    return giving(measure=measure)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (giving(number(kind="exactly")), "ValueError: the measurement 'odd' can't be recorded: kind: Input should be"),
        (giving(number(better="more")), "ValueError: the measurement 'odd' can't be recorded: better: Input should"),
        (giving(number(unit="a\nb")), "ValueError: the measurement 'odd' can't be recorded: unit: String should"),
        (giving(number(unit=3)), "ValueError: the measurement 'odd' can't be recorded: unit: Input should"),
        (giving(number(name="a\nb")), "ValueError: the measurement 'a b' can't be recorded: name: String should"),
        (giving(number(name="x" * 101)), "ValueError: the name of a measurement has 101 characters; at most 100"),
        (giving(number(stderr=-1.0)), "ValueError: the measurement 'odd' can't be recorded: stderr: Input should"),
        (giving(number(stderr=float("nan"))), "ValueError: the standard error of odd came out as nan"),
        (giving(number(value="1")), "TypeError: odd is a str, not a number"),
        (giving(number(value=torch.zeros(2))), "TypeError: odd is a Tensor, not a number"),
        (giving(number(interval=(0.0, float("inf")))), "ValueError: the interval of odd came out as inf"),
        (giving(number(interval=(0.0,))), "ValueError: not enough values to unpack"),
        (giving(number(settings=[1])), "ValueError: the measurement 'odd' can't be recorded: settings: Input should"),
        (giving({"odd": 1.0}), "TypeError: `measure` returned a list with a dict in it, not a Measurement"),
        (giving(measure=lambda self, subject: None), "TypeError: `measure` returned None; it must return a list"),
        (giving(requires=("Sampler",)), "TypeError: isinstance() arg 2 must be"),
        (raising(Mute()), "Mute: <Mute without text>"),
        (raising(ValueError("\udcff\x00")), "ValueError: \ufffd\ufffd"),
        (raising(SystemExit(0)), "SystemExit: 0"),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt: no message"),
    ],
)
def test_a_metric_that_goes_wrong_fails_alone(odd, reason, subject):
    failed, sound = answers(subject, odd)
    assert (failed.metric, failed.names, failed.status) == ("odd", ["odd"], "failed")
    assert failed.reason.startswith(reason)
    assert "\n" not in failed.reason
    assert sound.value == 1.0
    assert measure_quickly(subject, {"odd": odd, "sound": Sound(Options())}) == {"sound": 1.0}


@pytest.mark.parametrize("names", [3, ("a\nb",)])
def test_a_metric_whose_names_are_odd_fails_alone(names, subject):
    failed, _ = answers(subject, giving(number(value=float("nan")), names=names))
    assert failed.names == ([] if names == 3 else ["a b"])


def test_odd_numbers_and_settings_are_recorded_as_plain_data(subject):
    settings = {
        "weights": torch.ones(2),
        "n": np.int64(5),
        "nan": float("nan"),
        "file": Path("/x"),
        "of": {2, 1},
        Part.ONE: Part.ONE,
        "other": object(),
    }
    odd = number(value=torch.tensor(2.0), stderr=np.float32(0.5), settings=settings, flags=("a\nb", "\udcff"))
    value, _ = answers(subject, giving(odd))
    assert (value.value, value.stderr) == (2.0, 0.5)
    assert type(value.value) is type(value.stderr) is float
    assert value.settings == {
        "weights": [1.0, 1.0],
        "n": 5,
        "nan": "nan",
        "file": "/x",
        "of": [1, 2],
        "Part.ONE": "one",
        "other": "<object>",
    }
    assert value.flags == ("a b", "\ufffd")


def test_a_metric_that_can_not_be_made_quick_is_not_on_the_curve():
    made = quick_metrics({"odd": giving(quick=lambda self: sys.exit(1)), "sound": Sound(Options())})
    assert made.keys() == {"sound"}


def test_the_order_to_end_a_run_is_no_fault_of_a_metric(subject):
    with pytest.raises(Overstayed):
        answers(subject, raising(Overstayed()))

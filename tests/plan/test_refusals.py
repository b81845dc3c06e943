"""Models that can't be trained on some data, asked by the hundred; and what their constructors may do instead."""

import os
import sys
import time

import pytest
import torch

from genbench.data import DataSpec
from genbench.errors import UnsupportedData
from genbench.model import Model, ModelConfig
from genbench.plan import refusals as module
from genbench.plan.refusals import refusals

SMALL, LARGE = DataSpec((3,), "continuous"), DataSpec((9,), "continuous")


class Config(ModelConfig):
    width: int = 1


class Fits(Model):
    Config = Config

    def __init__(self, data, config):
        super().__init__(data, config)
        if config.width > data.dims:
            raise UnsupportedData(f"{config.width} is more\nthan {data.dims}")

    def update(self, batch, progress):
        raise NotImplementedError


class Picky(Fits):
    @classmethod
    def check_data(cls, data):
        raise UnsupportedData("likes nothing")


class Odd(Fits):
    @classmethod
    def check_data(cls, data):
        raise ZeroDivisionError


class Leaves(Fits):
    def __init__(self, data, config):
        sys.exit(3)


class Dies(Fits):
    def __init__(self, data, config):
        os._exit(3)


class Hangs(Fits):
    def __init__(self, data, config):
        time.sleep(600)


class Noisy(Fits):
    def __init__(self, data, config):
        print("noise")
        torch.set_default_dtype(torch.float64)
        super().__init__(data, config)
        self.layer = torch.nn.Linear(10_000, 10_000)


def test_a_refusal_names_model_and_data_with_the_reason():
    asked = [(Fits, Config(width=2)), (Fits, Config(width=5)), (Picky, Config())]
    assert refusals(asked, [SMALL, LARGE]) == {
        (1, 0): "5 is more than 3",
        (2, 0): "likes nothing",
        (2, 1): "likes nothing",
    }


def test_any_other_fault_is_left_to_the_run_and_the_others_are_asked(monkeypatch, capfd):
    monkeypatch.setattr(module, "LIMIT", 1.0)
    faulty = (Odd, Leaves, Dies, Hangs, Noisy, Dies, Hangs)
    asked = [(cls, Config()) for cls in faulty] + [(Fits, Config(width=5))]
    assert refusals(asked, [SMALL, LARGE]) == {(7, 0): "5 is more than 3"}
    assert capfd.readouterr() == ("", "")
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("worth", [7, 10_000])
def test_many_are_shared_out_and_stay_in_order(worth, monkeypatch):
    monkeypatch.setattr(module, "WORTH", worth)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    asked = [(Fits, Config(width=width)) for width in range(1, 31)]
    assert sorted(refusals(asked, [SMALL, LARGE])) == sorted(
        (width - 1, place) for width in range(1, 31) for place, data in enumerate((SMALL, LARGE)) if width > data.dims
    )

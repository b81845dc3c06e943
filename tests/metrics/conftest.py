from types import SimpleNamespace

import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Split
from genbench.runner import subject

LEVELS = 5
SHAPE = (1, 3, 3)
CLASSES = 3


def make_split(n, rng, labelled):
    """Images of three classes that differ in which row is bright."""
    y = rng.integers(CLASSES, size=n)
    x = rng.integers(2, size=(n, *SHAPE)).astype(np.uint8)
    x[np.arange(n), 0, y] += 2
    return Split(x, y if labelled else None)


@pytest.fixture
def make_dataset():
    def make(sizes=(200, 20, 60), labelled=True, seed=0):
        rng = np.random.default_rng(seed)
        spec = DataSpec(SHAPE, "discrete", LEVELS, CLASSES if labelled else None)
        train, validation, test = (make_split(n, rng, labelled) for n in sizes)
        return Dataset("rows", spec, train, validation, test, family="rows")

    return make


@pytest.fixture
def make_subject(make_dataset, tmp_path):
    """A subject around `model`."""

    def make(model, dataset=None, **training):
        made = subject.make_subject(dataset or make_dataset(), torch.device("cpu"), 0, tmp_path / "run")
        made.model, made.training = model, training
        return made

    return make


@pytest.fixture
def continuous_dataset():
    rng = np.random.default_rng(0)
    splits = [Split(rng.normal(size=(n, 4)).astype(np.float32)) for n in (50, 10, 40)]
    return Dataset("normal", DataSpec((4,), "continuous"), *splits, family="normal")


@pytest.fixture
def by_name():
    return lambda measurements: SimpleNamespace(**{m.name: m for m in measurements})


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
    with torch.no_grad():
        yield

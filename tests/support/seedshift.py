"""Shifts every fixed seed: `pytest --seed-shift 1000` shows which tests hold for their seed alone.

Seeds of torch, numpy and `random` are shifted, and with numpy's those of scikit-learn and torch-fidelity: the tests'
own seeds and those inside genbench, such as the seed that chooses the points of a metric. A test that fixes no seed
gets one from the shift. Tests marked `fixed_seed` are about the numbers of one seed and run unshifted. Processes that
a test starts are not reached.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

#: numpy's old generators take seeds below this.
SEEDS = 2**32

_RandomState = np.random.RandomState


class SeedShift:
    """The pytest plugin that shifts seeds by `shift`."""

    def __init__(self, shift: int) -> None:
        self.shift = shift
        self.current = 0
        _replace_seeding(self)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Shift while a test and the fixtures made for it run."""
        self.current = 0 if item.get_closest_marker("fixed_seed") else self.shift
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(0)
        try:
            return (yield)
        finally:
            self.current = 0

    def shifted(self, seed: Any) -> Any:
        """The seed a test gets for the seed that it fixes; anything but an integer stays as it is."""
        return int(seed) + self.current if isinstance(seed, (int, np.integer)) else seed

    def shifted_32_bits(self, seed: Any) -> Any:
        """The same for numpy's old generators."""
        return self.shifted(seed) % SEEDS if isinstance(seed, (int, np.integer)) else seed


def _replace_seeding(plugin: SeedShift) -> None:
    """Put functions and classes that shift in the place of torch's, numpy's and `random`'s."""
    torch_seed, numpy_seed, python_seed = torch.manual_seed, np.random.seed, random.seed
    default_rng = np.random.default_rng

    class Generator(torch.Generator):  # a subclass, as the class itself can't be changed
        def manual_seed(self, seed: int) -> torch.Generator:
            return super().manual_seed(plugin.shifted(seed))

    class RandomState(_RandomState, metaclass=_AnyRandomState):
        def __init__(self, seed: Any = None) -> None:
            super().__init__(plugin.shifted_32_bits(seed))

    torch.manual_seed = torch.random.manual_seed = lambda seed: torch_seed(plugin.shifted(seed))
    torch.Generator = Generator
    np.random.default_rng = lambda seed=None: default_rng(plugin.shifted(seed))
    np.random.seed = lambda seed=None: numpy_seed(plugin.shifted_32_bits(seed))
    np.random.RandomState = RandomState
    random.seed = lambda a=None, version=2: python_seed(plugin.shifted(a), version)


class _AnyRandomState(type):
    """scikit-learn asks whether the global generator, which was made before the shift, is a `RandomState`."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RandomState)

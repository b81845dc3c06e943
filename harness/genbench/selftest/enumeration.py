"""Discrete models against the sum over everything that they can be given."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from genbench.data import DataSpec
from genbench.errors import UnsupportedData
from genbench.model import Batch, Density, Model
from genbench.plugins.catalogue import Catalogue, import_target
from genbench.selftest.base import Check

#: Few enough images for all of them to be given to a model.
TINY = (
    DataSpec((1, 3, 3), "binary", 2),
    DataSpec((1, 2, 3), "discrete", 3),
    DataSpec((4,), "discrete", 5),
)
#: Steps of training, after which a model is no longer what it was built as.
STEPS = 5
#: Rounding of a sum of hundreds of float32 probabilities.
ROUNDING = 1e-5


def small_images() -> Iterator[Check]:
    """Every installed model that gives discrete data exact probabilities gives all images together 1."""
    for name, offer in Catalogue.find().models.items():
        cls = import_target(offer.entry.target, Model)
        if not issubclass(cls, Density) or cls.continuous:
            continue
        for data in TINY:
            try:
                cls.check_data(data)
                model = cls(data, cls.Config())
            except UnsupportedData:
                continue
            _train(model, data)
            x = _everything(data)
            with torch.no_grad():
                total = model.eval().log_prob(x).double().exp().sum().item()
            what = f"{name}: all {len(x)} of {data.shape}, {data.levels} levels"
            yield Check(what, 1.0, total, tolerance=ROUNDING)


def _everything(data: DataSpec) -> torch.Tensor:
    """Every data point there can be, `(levels^dims, *shape)`."""
    assert data.levels is not None  # all of TINY is discrete
    level = torch.arange(data.levels) / (data.levels - 1)
    return torch.cartesian_prod(*[level] * data.dims).view(-1, *data.shape)


def _train(model: Model, data: DataSpec) -> None:
    everything = _everything(data)
    batch = Batch(everything[torch.randint(len(everything), (20,))])
    model.setup(batch)
    model.train()
    for step in range(STEPS):
        if not model.done:
            model.update(batch, step / STEPS)

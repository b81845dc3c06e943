"""Views: how a dataset is presented. The same pictures in another view are another benchmark."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from genbench.data.dataset import SPLITS, Dataset, Split
from genbench.data.spec import DataSpec
from genbench.errors import UsageError
from genbench.options import Options

#: Seeds every pixel that is drawn once and for all.
BINARIZE_SEED = 1


class ViewOptions(Options):
    """How a dataset is presented."""

    binarize: Literal["threshold", "static", "dynamic"] | None = Field(
        None,
        description="make grey pixels binary: 1 above one half (threshold), drawn once with the grey value as the "
        "probability of 1 (static), or so drawn anew every time a training pixel is used (dynamic)",
    )


def apply_view(dataset: Dataset, view: ViewOptions) -> Dataset:
    """The dataset as `view` presents it; the very same one where the view asks for nothing.

    Every binary view has fixed validation and test pixels; those of `static` and `dynamic` are the same. Drawing pixels
    once or anew are different benchmarks, whose likelihoods are not comparable (Burda, Grosse & Salakhutdinov 2016).

    Raises:
        UsageError: the data is binary already, or continuous.
    """
    if view.binarize is None:
        return dataset
    grey_levels = dataset.spec.levels
    if dataset.spec.kind != "discrete" or grey_levels is None:
        raise UsageError(
            f"{dataset.name}: binarize={view.binarize} needs grey levels, this data is {dataset.spec.kind}; "
            "leave binarize out"
        )
    dynamic = view.binarize == "dynamic"

    def binary(name: str) -> Split:
        split: Split = getattr(dataset, name)
        if view.binarize == "threshold":
            return replace(split, x=(split.x > (grey_levels - 1) / 2).astype(np.uint8))
        if dynamic and name == "train":
            return split
        return replace(split, x=_draw(split.x, grey_levels, SPLITS.index(name)))

    return replace(
        dataset,
        spec=DataSpec(dataset.spec.shape, "binary", 2, dataset.spec.num_classes),
        train=binary("train"),
        validation=binary("validation"),
        test=binary("test"),
        redraw=dynamic,
        grey_levels=grey_levels if dynamic else None,
    )


def _draw(levels: np.ndarray, grey_levels: int, stream: int) -> np.ndarray:
    """Pixels that are 1 with probability exactly level/(grey_levels-1): a uniform integer below grey_levels-1 is below
    the level. `RandomState` because its streams never change between numpy's versions."""
    generator = np.random.RandomState([BINARIZE_SEED, stream])
    return (generator.randint(0, grey_levels - 1, levels.shape, dtype=np.uint8) < levels).astype(np.uint8)

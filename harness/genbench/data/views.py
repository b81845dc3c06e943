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
    holdout: int | None = Field(
        None,
        ge=0,
        description="class left out of all three splits; its test points become the anomalies",
    )


def apply_view(dataset: Dataset, view: ViewOptions) -> Dataset:
    """The dataset as `view` presents it; the very same one where the view asks for nothing.

    Every binary view has fixed validation and test pixels; those of `static` and `dynamic` are the same. Drawing pixels
    once or anew are different benchmarks, whose likelihoods are not comparable (Burda, Grosse & Salakhutdinov 2016).

    Raises:
        UsageError: the data is binary already, or continuous; there is no such class, or nothing but it.
    """
    if view.binarize is not None:
        dataset = _binary(dataset, view)
    # last, so that the points that stay have the pixels that they have without it
    return dataset if view.holdout is None else _without(dataset, view.holdout)


def _binary(dataset: Dataset, view: ViewOptions) -> Dataset:
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


def _without(dataset: Dataset, label: int) -> Dataset:
    """The dataset without one class, whose test points become the anomalies."""
    classes = dataset.spec.num_classes
    if classes is None:
        raise UsageError(f"{dataset.name}: holdout={label} needs class labels, this data has none; leave holdout out")
    if label >= classes:
        raise UsageError(f"{dataset.name}: holdout={label}: there is no such class, they are 0 … {classes - 1}")

    def part(name: str, anomalous: bool) -> Split:
        split: Split = getattr(dataset, name)
        assert split.y is not None  # a dataset with classes has labels
        chosen = (split.y == label) == anomalous
        if not chosen.any():
            held = "of this class" if anomalous else "of another class"
            raise UsageError(f"{dataset.name}: holdout={label}: the {name} split has no point {held}")
        return split.at(chosen)

    return replace(
        dataset,
        train=part("train", False),
        validation=part("validation", False),
        test=part("test", False),
        anomalies=part("test", True),
    )


def _draw(levels: np.ndarray, grey_levels: int, stream: int) -> np.ndarray:
    """Pixels that are 1 with probability exactly level/(grey_levels-1): a uniform integer below grey_levels-1 is below
    the level. `RandomState` because its streams never change between numpy's versions."""
    generator = np.random.RandomState([BINARIZE_SEED, stream])
    return (generator.randint(0, grey_levels - 1, levels.shape, dtype=np.uint8) < levels).astype(np.uint8)

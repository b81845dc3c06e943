"""Scores that torch-fidelity computes (Obukhov et al. 2020): precision and recall, and the Inception score.

It is handed the features themselves, in float64, so that nothing is rounded, resized or cached by name on the way.
"""

from __future__ import annotations

from typing import Any

import torch
import torch_fidelity
from torch import Tensor

EXTRACTOR = "genbench-features"


def precision_recall(samples: Tensor, data: Tensor, k: int) -> tuple[float, float]:
    """The share of samples in some data point's ball, and of data points in some sample's (Kynkäänniemi et al. 2019).

    Args:
        samples: features `(n, d)` float64.
        data: features `(m, d)` float64.
        k: the neighbour in its own set whose distance is a ball's radius.
    """
    origin = data[0]  # distances come from squares, which far from 0 would swallow them
    scores = _scores(
        input1=_Rows(samples - origin),
        input2=_Rows(data - origin),
        prc=True,
        prc_neighborhood=k,
        prc_batch_size=1000,  # distances are held for this many points at a time
    )
    return scores["precision"], scores["recall"]


def inception_score(logits: Tensor, splits: int) -> tuple[float, float]:
    """The mean of exp E KL(p(y|x) || p(y)) over random parts of equal size (Salimans et al. 2016), and its standard
    error from their spread.

    Args:
        logits: of the classes, `(n, classes)` float64.
        splits: parts; at least 2.
    """
    scores = _scores(input1=_Rows(logits), isc=True, isc_splits=splits)
    return scores["inception_score_mean"], scores["inception_score_std"] / (splits - 1) ** 0.5


def _scores(**options: Any) -> dict[str, float]:
    """What `torch_fidelity.calculate_metrics` gives, quietly and without its cache, for features on the CPU."""
    return torch_fidelity.calculate_metrics(
        feature_extractor=EXTRACTOR,
        batch_size=1000,
        rng_seed=0,
        cache=False,
        cuda=False,
        save_cpu_ram=True,  # no worker processes, and distances a part at a time
        verbose=False,
        **options,
    )


class _Rows(torch.utils.data.Dataset):
    """Feature vectors as the data set that torch-fidelity reads."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        return self.rows[index]


class _Identity(torch_fidelity.FeatureExtractorBase):
    """The extractor that finds its features in its input; every option of torch-fidelity arrives in its constructor."""

    def __init__(self, name: str, features_list: list[str], **options: Any) -> None:
        super().__init__(name, features_list)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x,)

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        return ("features",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:  # noqa: ARG004  # the same for all
        return "features"


torch_fidelity.register_feature_extractor(EXTRACTOR, _Identity)

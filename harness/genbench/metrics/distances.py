"""Distances between two sets of feature vectors, computed by torch-fidelity (Obukhov et al. 2020).

It is handed the features themselves, in float64, so that nothing is rounded, resized or cached by name on the way.
"""

from __future__ import annotations

from typing import Any

import torch
import torch_fidelity
from torch import Tensor

EXTRACTOR = "genbench-features"


def distances(generated: Tensor, reference: Tensor, **options: Any) -> dict[str, float]:
    """What `torch_fidelity.calculate_metrics` gives, quietly and without its cache, for features on the CPU.

    Args:
        generated: features of samples, `(n, d)` float64.
        reference: features of data, `(m, d)` float64.
        options: which distances (`fid`, `kid`, `prc`), and their options.
    """
    return torch_fidelity.calculate_metrics(
        input1=_Rows(generated),
        input2=_Rows(reference),
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

"""The small convolutional network behind the `digits` and `mnist` extractors."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 64

#: Height and width of the pictures, channels of the first convolution, and its stride.
ARCHITECTURES = {"digits": (8, 16, 1), "mnist": (28, 16, 2)}


class FeatureNetwork(nn.Module):
    """Three convolutions, then `FEATURES` linear features, each standardised over what the network was trained on.

    There is no rectifier after the features: they are smooth, none is constant, and their distribution over pictures
    is closer to the Gaussian that FID takes it for (Heusel et al. 2017) than that of rectified units.
    """

    def __init__(self, name: str, num_classes: int = 10) -> None:
        super().__init__()
        size, width, stride = ARCHITECTURES[name]
        grid = math.ceil(math.ceil(math.ceil(size / stride) / 2) / 2)
        self.shape = (1, size, size)
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 2 * stride + 1, stride=stride, padding=stride),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(4 * width * grid**2, FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES, affine=False),
        )
        self.classes = nn.Linear(FEATURES, num_classes)

    def classify(self, features: Tensor) -> Tensor:
        """Class logits `(B, num_classes)` of features `(B, FEATURES)`."""
        return self.classes(F.silu(features))

    def forward(self, x: Tensor) -> Tensor:
        """Class logits of pictures `(B, 1, size, size)` in [0, 1]."""
        return self.classify(self.features(x))

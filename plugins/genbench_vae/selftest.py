"""The vector-quantised autoencoder against sums over all grids of codes and all images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from genbench import Check
from genbench.model import DataSpec
from genbench_vae.pixelcnn import GatedPixelCNN
from genbench_vae.vqvae import VQVAE

CODES = 3
#: Rounding of a sum of hundreds of float32 probabilities.
ROUNDING = 1e-5


@torch.no_grad()
def vqvae() -> Iterator[Check]:
    """The prior sums to 1 over all grids, the model over all images, and its bound to no more."""
    for size, height, width in ((CODES, 2, 2), (2, 3, 2), (4, 1, 4)):
        prior = GatedPixelCNN(size, (height, width), width=8, layers=2, dropout=0.0).eval()
        total = prior.log_prob(_every(size, height, width)).double().exp().sum().item()
        yield Check(f"prior over all {height}x{width} grids of {size} codes", 1.0, total, tolerance=ROUNDING)

    config = VQVAE.Config(codes=CODES, code_dim=2, width=4, prior_width=8, prior_layers=2)
    model = VQVAE(DataSpec((1, 3, 3), "binary", 2), config).eval()
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    images = _every(2, 3, 3)[:, None].float()
    grids = _every(CODES, *model.prior.grid)
    log_prior, p = model.prior.log_prob(grids), model.observation(model.codebook(grids))
    log_p = torch.stack([(log_prior + p.log_prob(image.expand(len(grids), 1, 3, 3))).logsumexp(0) for image in images])
    total = log_p.double().exp().sum().item()
    yield Check("sum over all images and grids", 1.0, total, tolerance=ROUNDING)
    bound = model.log_weights(images, 1)[0]
    excess = (bound - log_p).max().item()
    yield Check("bound less log p(x): largest", 0.0, excess, tolerance=ROUNDING, relation="at_most")


def _every(size: int, height: int, width: int) -> Tensor:
    """All grids of numbers below `size`, `(size^(height·width), height, width)`."""
    return torch.cartesian_prod(*[torch.arange(size)] * (height * width)).view(-1, height, width)

"""The vector-quantised autoencoder against sums over all grids of codes and all images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from genbench import Check
from genbench.model import DataSpec
from genbench_vae.codebook import Codebook
from genbench_vae.pixelcnn import GatedPixelCNN
from genbench_vae.vqvae import VQVAE

CODES = 3
#: Rounding of a sum of hundreds of float32 probabilities.
ROUNDING = 1e-5


@torch.no_grad()
def vqvae() -> Iterator[Check]:
    """The prior sums to 1 over all grids, the model over all images, and its bound to no more; without decay, a
    codebook's vectors are the centroids of what is nearest to them."""
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

    codes = model.codes(images)
    free = (bound - model.log_likelihood(images, codes)).max().item()
    yield Check("bound less log p(x|codes): largest", 0.0, free, tolerance=ROUNDING, relation="at_most")

    z = torch.randn(50, 2, 3, 3)
    book = Codebook(CODES, 2, revive=1e-6)
    book.start(z)
    codes = book.nearest(z)
    distances = torch.cdist(z.movedim(1, -1).reshape(-1, 2), book.vectors)
    missed = (distances.argmin(1) != codes.flatten()).sum().item()
    yield Check("codes that are not the nearest, by brute force", 0.0, float(missed), tolerance=0.5)
    book.follow(z, codes, weight=1.0)
    rows = z.movedim(1, -1)
    centroids = torch.stack([rows[codes == code].mean(0) for code in range(CODES)])
    error = (book.vectors - centroids).abs().max().item()
    yield Check("vectors without decay less the centroids: largest", 0.0, error, tolerance=ROUNDING)


def _every(size: int, height: int, width: int) -> Tensor:
    """All grids of numbers below `size`, `(size^(height·width), height, width)`."""
    return torch.cartesian_prod(*[torch.arange(size)] * (height * width)).view(-1, height, width)

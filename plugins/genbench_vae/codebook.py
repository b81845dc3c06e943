"""A codebook that follows its assignments by moving averages (van den Oord et al. 2017, appendix A.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Codebook(nn.Module):
    """K vectors `(K, d)`, each the moving average of the encoder's outputs that were nearest to it.

    A vector whose moving count falls below `revive` times the average one is dead: it is put on one of the batch's
    outputs, drawn at random, with an average count. All state is in buffers.
    """

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, size: int, dim: int, revive: float) -> None:
        super().__init__()
        self.revive = revive
        self.register_buffer("vectors", torch.randn(size, dim))
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("sums", self.vectors.clone())

    def forward(self, codes: Tensor) -> Tensor:
        """The vectors of codes `(B, h, w)`, `(B, d, h, w)`."""
        return F.embedding(codes, self.vectors).permute(0, 3, 1, 2)

    def nearest(self, z: Tensor) -> Tensor:
        """The codes `(B, h, w)` of the vectors nearest to `z` `(B, d, h, w)`."""
        with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
            # |z - v|² less |z|², which is the same for every v
            distances = self.vectors.square().sum(1) - 2 * _rows(z) @ self.vectors.T
            return distances.argmin(1).view(len(z), *z.shape[2:])

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Put the vectors on different outputs in `z` `(B, d, h, w)`, drawn at random."""
        rows = _rows(z)
        size = len(self.vectors)
        self.vectors.copy_(rows[torch.randperm(len(rows), device=rows.device)[torch.arange(size) % len(rows)]])
        self.counts.fill_(len(rows) / size)
        self.sums.copy_(self.vectors * self.counts[:, None])

    @torch.no_grad()
    def follow(self, z: Tensor, codes: Tensor, weight: float) -> None:
        """Move the averages by `weight` (1 less the decay) towards the outputs `z` that these `codes` stand for."""
        rows = _rows(z)
        index = codes.flatten()
        counts = torch.zeros_like(self.counts).index_add_(0, index, torch.ones_like(rows[:, 0]))
        sums = torch.zeros_like(self.sums).index_add_(0, index, rows)
        self.counts.lerp_(counts, weight)
        self.sums.lerp_(sums, weight)
        size = len(self.counts)
        average = len(rows) / size
        dead = self.counts < self.revive * average
        found = rows[torch.randint(len(rows), (size,), device=rows.device)]
        self.counts.copy_(torch.where(dead, average, self.counts))
        self.sums.copy_(torch.where(dead[:, None], average * found, self.sums))
        self.vectors.copy_(self.sums / self.counts[:, None])


def perplexity(codes: Tensor, size: int) -> Tensor:
    """exp of the entropy of how often each of `size` codes occurs in `codes`: how many are in use, from 1 to `size`."""
    index = codes.flatten()
    share = torch.zeros(size, device=codes.device).index_add_(0, index, torch.ones(len(index), device=codes.device))
    return torch.special.entr(share / len(index)).sum().exp()


def _rows(z: Tensor) -> Tensor:
    """`(B, d, h, w)` as `(B*h*w, d)` in float32."""
    return z.detach().float().permute(0, 2, 3, 1).flatten(0, 2)

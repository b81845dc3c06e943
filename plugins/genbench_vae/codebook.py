"""A codebook: the vectors that discrete codes stand for, how they are learnt, and how many of them are in use."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Codebook(nn.Module):
    """K vectors `(K, d)`, and moving counts of how often each is nearest to one of the encoder's outputs.

    The vectors are moving averages of those outputs (van den Oord et al. 2017, appendix A.1), or are left to a
    gradient, and then follow nothing by themselves. A vector whose moving count falls below `revive` times the average
    one is dead: it is put on one of the batch's outputs, drawn at random, with an average count.
    """

    counts: Tensor

    def __init__(self, size: int, dim: int, revive: float, *, averaged: bool = True) -> None:
        super().__init__()
        self.revive = revive
        self.averaged = averaged
        self.vectors = nn.Parameter(torch.randn(size, dim), requires_grad=not averaged)
        self.register_buffer("counts", torch.ones(size))

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

    @torch.no_grad()
    def follow(self, z: Tensor, codes: Tensor, weight: float) -> None:
        """Move the averages by `weight` (1 less the decay) towards the outputs `z` that these `codes` stand for, and
        put what is dead elsewhere."""
        rows = _rows(z)
        counts = occurrences(codes, len(self.counts))
        self.counts.lerp_(counts, weight)
        if self.averaged:
            sums = torch.zeros_like(self.vectors).index_add_(0, codes.flatten(), rows)
            self.vectors.add_(weight * (sums - counts[:, None] * self.vectors) / self.counts[:, None])
        average = len(rows) / len(self.counts)
        dead = self.counts < self.revive * average
        found = rows[torch.randint(len(rows), (len(self.counts),), device=rows.device)]
        self.counts.copy_(torch.where(dead, average, self.counts))
        self.vectors.copy_(torch.where(dead[:, None], found, self.vectors))


def occurrences(codes: Tensor, size: int) -> Tensor:
    """How often each of `size` codes occurs in `codes`, `(size,)` float32."""
    index = codes.flatten()
    return torch.zeros(size, device=codes.device).index_add_(0, index, torch.ones(len(index), device=codes.device))


def usage(codes: Tensor, size: int) -> Tensor:
    """The share of `size` codes that occur in `codes`."""
    return (occurrences(codes, size) > 0).float().mean()


def perplexity(codes: Tensor, size: int) -> Tensor:
    """exp of the entropy of how often each of `size` codes occurs in `codes`: from 1 to `size`, where all are equally
    frequent."""
    return torch.special.entr(occurrences(codes, size) / codes.numel()).sum().exp()


def _rows(z: Tensor) -> Tensor:
    """`(B, d, h, w)` as `(B*h*w, d)` in float32."""
    return z.detach().float().permute(0, 2, 3, 1).flatten(0, 2)

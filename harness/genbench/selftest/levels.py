"""From levels to continuous points and back, and what it does to a likelihood."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genbench.data import DataSpec
from genbench.model import Density, dequantize, from_logit, quantize, snap, to_logit
from genbench.selftest.base import Check
from genbench.selftest.known import subject_of
from genbench.selftest.likelihood import measured

#: Draws of the noise: enough to meet those that rounding takes over the edge of a bin.
DRAWS = 4_000_000
#: Draws of which the place in the bin is looked at.
PLACES = 100_000


def round_trip() -> Iterator[Check]:
    """Dequantised points lie in the bin that they come from, uniformly; levels are left as they are."""
    for levels in (2, 17, 256):
        level = torch.arange(levels).repeat(DRAWS // levels)
        x = level / (levels - 1)
        u = dequantize(x, levels)
        changed = (quantize(u, levels) != x).sum().item()
        yield Check(f"points that change level, {levels} levels", 0, changed, tolerance=0.5)
        place = (u.double() * levels - level)[:PLACES]
        yield Check.of_mean(f"mean place in the bin, {levels} levels", 0.5, place.tolist())
        yield Check.of_mean(f"its mean square, {levels} levels", 1 / 3, place.square().tolist())
        off = (snap(x, levels) - x).abs().max().item()
        yield Check(f"levels that snapping moves, {levels} levels", 0.0, off, tolerance=1e-7)


class _Steps(Density):
    """A density over the unit cube that is constant in every bin of every dimension: P(level)·levels there."""

    continuous = True

    def __init__(self, log_p: Tensor) -> None:
        self.log_p = log_p

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        dims, levels = self.log_p.shape
        bins = (x.double() * levels).floor().long()
        log_mass = self.log_p.expand(len(x), -1, -1).gather(2, bins[..., None]).sum((1, 2))
        return log_mass + dims * math.log(levels)


def mass() -> Iterator[Check]:
    """Where a density is constant in every bin, its mass there is what the dequantised bound says, for every draw."""
    for levels in (2, 17, 256):
        dims, n = 4, 500
        log_p = torch.randn(dims, levels, dtype=torch.float64).log_softmax(1)
        level = torch.randint(levels, (n, dims))
        known = log_p.expand(n, -1, -1).gather(2, level[..., None]).sum((1, 2)).mean().item()
        data = DataSpec((dims,), "binary" if levels == 2 else "discrete", levels)
        got = measured(subject_of(_Steps(log_p), data, level), dequantizations=4)["log_likelihood"].value
        yield Check(f"mass of a stepped density, {levels} levels", known, got, tolerance=1e-9)


def logit() -> Iterator[Check]:
    """The logit's log-determinant against autograd, its inverse, and the mass of a density that went through it."""
    for alpha in (1e-6, 0.05):
        u = torch.rand(3, 5, dtype=torch.float64)
        z, log_det = to_logit(u, alpha)
        known = _slopes(u, alpha).log().sum().item()
        yield Check(f"log-determinant, alpha = {alpha:g}", known, log_det.sum().item(), tolerance=1e-9)
        yield Check(f"inverse, alpha = {alpha:g}", 0.0, (from_logit(z, alpha) - u).abs().max().item(), tolerance=1e-9)
        grid = (torch.arange(100_000, dtype=torch.float64)[:, None] + 0.5) / 100_000
        z, log_det = to_logit(grid, alpha)
        # a logistic density of z is a uniform one of alpha + (1 - 2 alpha) u
        log_density = z[:, 0] - 2 * torch.nn.functional.softplus(z[:, 0]) + log_det
        yield Check(
            f"mass on [0, 1), alpha = {alpha:g}", 1 - 2 * alpha, log_density.exp().mean().item(), tolerance=1e-9
        )


def _slopes(u: Tensor, alpha: float) -> Tensor:
    """dz/du of the elementwise logit, by autograd."""
    with torch.enable_grad():
        u = u.requires_grad_()
        (slopes,) = torch.autograd.grad(to_logit(u, alpha)[0].sum(), u)
    return slopes

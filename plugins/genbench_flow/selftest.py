"""RealNVP against autograd and quadrature, in float64."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from genbench import Check
from genbench.model import DataSpec
from genbench_flow.realnvp import RealNVP

IMAGES = DataSpec((1, 4, 4), "discrete", 17)
VECTORS = DataSpec((5,), "continuous")
#: Rounding of a log-determinant or an inverse through all couplings, in float64.
ROUNDING = 1e-8


def realnvp() -> Iterator[Check]:
    """Log-determinants, inverses, and integrals of the density over the plane."""
    for data in (IMAGES, VECTORS):
        model = _random(data)
        what = "images" if data.is_image else "vectors"
        x = torch.rand(3, *data.shape, dtype=torch.float64)
        for number, point in enumerate(x, start=1):
            log_det = model.flow(point[None])[1].item()
            known = torch.linalg.slogdet(_jacobian(model, point)).logabsdet.item()
            yield Check(f"log-determinant, {what}, point {number}", known, log_det, tolerance=ROUNDING)
        moved = (model.flow.inverse(model.flow(x)[0]) - x).abs().max().item()
        yield Check(f"inverse after flow, {what}: change", 0.0, moved, tolerance=ROUNDING)
        z = 0.5 * torch.randn(3, data.dims, dtype=torch.float64)
        moved = (model.flow(model.flow.inverse(z))[0] - z).abs().max().item()
        yield Check(f"flow after inverse, {what}: change", 0.0, moved, tolerance=ROUNDING)
    with torch.no_grad():
        yield from _integrals()


def _integrals() -> Iterator[Check]:
    model = _random(DataSpec((2,), "continuous"))
    total = _integral(model, -25.0, 25.0)
    yield Check("integral over the plane", 1.0, total, tolerance=1e-3)

    # the density of dequantised data is also positive around the unit square, on what the logit can be taken of
    model = _random(DataSpec((2,), "discrete", 4), alpha=0.1)
    inside = _integral(model, 0.0, 1.0)
    x = model.flow.inverse(torch.randn(100_000, 2, dtype=torch.float64))
    share = ((x >= 0) & (x < 1)).all(1).double()
    yield Check("integral over the unit square", 1.0, inside, tolerance=1e-3, relation="at_most")
    yield Check.of_mean("share of samples in the unit square", inside, share.tolist())


def _random(data: DataSpec, **options: float) -> RealNVP:
    """A model whose every parameter is random, so that no term of the log-determinant vanishes."""
    model = RealNVP(data, RealNVP.Config(width=8, **options)).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.15)
    return model


def _jacobian(model: RealNVP, point: Tensor) -> Tensor:
    """dz/dx at one point, `(D, D)`."""

    def flow(x: Tensor) -> Tensor:
        return model.flow(x.view(1, *point.shape))[0][0]

    found = torch.autograd.functional.jacobian(flow, point.flatten())
    assert isinstance(found, Tensor)  # one input, one output
    return found


def _integral(model: RealNVP, low: float, high: float, n: int = 800) -> float:
    """The density's integral over a square of the plane, by the midpoints of n² cells."""
    side = low + (torch.arange(n, dtype=torch.float64) + 0.5) * (high - low) / n
    parts = torch.cartesian_prod(side, side).split(50_000)
    return torch.cat([model.log_prob(part) for part in parts]).exp().mean().item() * (high - low) ** 2

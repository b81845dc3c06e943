"""Ways through the space of codes: straight, around a sphere, along one dimension, over a Gaussian's quantiles."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.special import ndtri


def straight(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Codes `(steps, d)` on the line from `a` to `b`, both `(d,)` and both included."""
    return torch.lerp(a, b, torch.linspace(0, 1, steps, device=a.device, dtype=a.dtype)[:, None])


def spherical(a: Tensor, b: Tensor, steps: int, centre: Tensor) -> Tensor:
    """Codes `(steps, d)` from `a` to `b`, both `(d,)` and both included, around `centre`.

    The direction from the centre turns at constant speed along the great circle (Shoemake 1985), the distance from it
    changes at constant speed. Where there is no one great circle (the directions are the same or opposite, or one of
    the codes is the centre) the way is straight.
    """
    t = torch.linspace(0, 1, steps, device=a.device, dtype=a.dtype)[:, None]
    from_a, from_b = a - centre, b - centre
    far_a, far_b = from_a.norm(), from_b.norm()
    u, v = from_a / far_a, from_b / far_b
    angle = 2 * torch.atan2((u - v).norm(), (u + v).norm())  # exact for small and large angles, unlike acos
    sine = torch.sin(angle)
    if not sine > torch.finfo(a.dtype).eps ** 0.5:
        return straight(a, b, steps)
    direction = (torch.sin((1 - t) * angle) * u + torch.sin(t * angle) * v) / sine
    return centre + torch.lerp(far_a, far_b, t) * direction


def along(code: Tensor, dimension: int, values: Tensor) -> Tensor:
    """`code` `(d,)` with each of `values` `(n,)` in one dimension, `(n, d)`."""
    codes = code.repeat(len(values), 1)
    codes[:, dimension] = values
    return codes


def quantile_grid(mean: Tensor, std: Tensor, side: int) -> Tensor:
    """Codes `(side², 2)` at the inverse CDF of a Gaussian of this mean and these standard deviations, `(2,)` each, on a
    regular grid over the unit square (Kingma & Welling 2014, appendix A), row by row from the top: the first dimension
    grows to the right, the second upwards."""
    quantiles = ndtri((torch.arange(side, device=mean.device, dtype=mean.dtype) + 0.5) / side)
    up, right = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    return mean + std * torch.stack([right, up], dim=-1).flatten(0, 1)

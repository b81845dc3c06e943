"""How much a network's output moves with its input: the squared Frobenius norm of its Jacobian, data point by data
point."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def one_sigmoid_layer(code: Tensor, layer: nn.Linear) -> Tensor:
    """Σ_j (h_j (1 - h_j))² |W_j|², `(B,)`, for h = sigmoid(Wx + b), `(B, d)` (Rifai et al. 2011, equation 9).

    Right for one layer only: the rows of a product of layers' weights are not these.
    """
    slope = code * (1 - code)
    return slope.square() @ layer.weight.square().sum(1).to(slope)


def exact(code: Tensor, x: Tensor) -> Tensor:
    """|∂code/∂x|², `(B,)`, all rows of the Jacobian at once.

    Args:
        code: `(B, d)`, a function of `x` point by point.
        x: `(B, *shape)`, which requires gradients.
    """
    directions = torch.eye(code.shape[1], device=code.device, dtype=code.dtype)
    return _products(code, x, directions[:, None].expand(-1, len(code), -1)).sum(0)


def hutchinson(code: Tensor, x: Tensor, probes: int) -> Tensor:
    """An unbiased estimate of the same: the mean of |vᵀ ∂code/∂x|² over `probes` draws of random signs v for every
    data point, as E[v vᵀ] = I (Hutchinson 1990)."""
    signs = torch.randint(2, (probes, *code.shape), device=code.device).to(code) * 2 - 1
    return _products(code, x, signs).mean(0)


def _products(code: Tensor, x: Tensor, directions: Tensor) -> Tensor:
    """|vᵀ ∂code/∂x|² for `directions` v `(n, B, d)`, `(n, B)`; differentiable where gradients are switched on."""
    differentiable = torch.is_grad_enabled()
    (rows,) = torch.autograd.grad(
        code, x, directions, is_grads_batched=True, create_graph=differentiable, retain_graph=True
    )
    return rows.flatten(2).square().sum(2)

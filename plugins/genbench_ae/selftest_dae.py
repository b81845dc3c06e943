"""A denoising autoencoder of one linear layer against the closed form of each corruption, in float64."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from genbench import Check
from genbench.model import Batch, Corruption, DataSpec
from genbench_ae.dae import DAE

DIMS, LEVELS, POINTS, COPIES, DRAWS = 5, 9, 50, 60, 12
DATA = DataSpec((DIMS,), "discrete", LEVELS)
AMOUNTS: dict[Corruption, float] = {"gaussian": 0.3, "masking": 0.3, "salt-and-pepper": 0.3}


def linear_denoising() -> Iterator[Check]:
    """Trained by its own loss until the gradient vanishes, the map x̃W is the one that takes most noise away: W = A⁻¹B
    with A = E[x̃x̃ᵀ] and B = E[x̃xᵀ]. Each training sees other noise; the mean is compared along one direction."""
    x = torch.randint(LEVELS, (POINTS, 1), dtype=torch.float64) + torch.randint(-2, 3, (POINTS, DIMS))
    x = x.clamp(0, LEVELS - 1) / (LEVELS - 1)
    direction = torch.randn(DIMS, DIMS, dtype=torch.float64)
    for corruption, amount in AMOUNTS.items():
        A, B = noisy_moments(x, corruption, amount)
        known = (torch.linalg.solve(A, B) * direction).sum().item()
        draws = [(_trained(x, corruption, amount, seed) * direction).sum().item() for seed in range(DRAWS)]
        yield Check.of_mean(f"linear denoising, {corruption}", known, draws)


def noisy_moments(x: Tensor, corruption: Corruption, amount: float) -> tuple[Tensor, Tensor]:
    """E[x̃x̃ᵀ] and E[x̃xᵀ], `(D, D)` each, over points `x` `(n, D)` and their corruptions."""
    S, mean = x.T @ x / len(x), x.mean(0)
    if corruption == "gaussian":
        return S + amount**2 * torch.eye(len(S), dtype=S.dtype), S
    keep = 1 - amount
    if corruption == "masking":
        return keep**2 * S + keep * amount * S.diag().diag(), keep * S
    A = keep**2 * S + keep * amount / 2 * (mean[:, None] + mean) + amount**2 / 4
    # x̃ᵢ² is xᵢ², or 0 or 1
    A.diagonal().copy_(keep * S.diag() + amount / 2)
    return A, keep * S + amount / 2 * mean


def linear_dae(corruption: Corruption, amount: float) -> DAE:
    """`dae` whose encoder is one linear layer without bias, and whose decoder does nothing."""
    options = {"sigma" if corruption == "gaussian" else "rate": amount}
    model = DAE(DATA, DAE.Config(corruption=corruption, latent_dim=DIMS, **options))
    model.encoder, model.decoder = nn.Linear(DIMS, DIMS, bias=False), nn.Identity()
    return model.double()


def _trained(x: Tensor, corruption: Corruption, amount: float, seed: int) -> Tensor:
    """W of the least loss on copies of `x` with the noise of one seed."""
    model = linear_dae(corruption, amount)
    batch = Batch(x.repeat(COPIES, 1))
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=200, tolerance_grad=1e-4, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        torch.manual_seed(seed)
        optimizer.zero_grad()
        loss = model.loss(batch, 1.0)["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)
    (weight,) = model.parameters()
    return weight.detach().T

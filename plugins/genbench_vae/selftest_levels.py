"""VAEs of two levels against a linear-Gaussian model, whose likelihood and posteriors are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from genbench import Check
from genbench.model import Batch, DataSpec, GradientModel
from genbench_vae.hvae import HVAE
from genbench_vae.ladder_vae import LadderVAE
from genbench_vae.levels import HierarchicalVAE
from genbench_vae.vae import VAE

#: x = W z_1 + NOISE e and z_1 = V z_2 + SPREAD e'. The columns of W are orthogonal and V V^T is diagonal, so that
#: variables are independent in the posteriors of either direction.
W = torch.tensor([[1.0, 0.5], [1.0, -0.5], [0.0, 1.0]])
V = torch.tensor([[0.0], [1.3]])
SPREAD = torch.tensor([0.8, 0.6])
NOISE = 0.5
DATA = DataSpec((3,), "continuous")

#: How much wider than the exact posterior the inexact one is.
WIDER = 1.2
DRAWS = 20_000
#: Rounding of sums of a few float32 numbers.
ROUNDING = 1e-4


@torch.no_grad()
def levels() -> Iterator[Check]:
    """With the exact posterior every weight is p(x); the weights of a wider one have that mean, and their logarithms
    the ELBO; one level is the VAE."""
    marginal = MultivariateNormal(torch.zeros(3), W @ _prior() @ W.T + NOISE**2 * torch.eye(3))
    x = marginal.sample((20,))
    exact = marginal.log_prob(x)
    for name, make in (("hvae", _upwards), ("ladder_vae", _downwards)):
        error = (make(1.0).log_weights(x, 10) - exact).abs().max().item()
        yield Check(f"{name}, exact posterior: largest error of a weight", 0.0, error, tolerance=ROUNDING)
        model = make(WIDER)
        log_weights = model.log_weights(x, DRAWS).double()
        yield Check.of_mean(f"{name}, wider: mean weight / p(x)", 1.0, (log_weights - exact).exp().mean(1).tolist())
        losses = [model.loss(Batch(x.repeat(50, 1)), 1.0)["loss"].item() for _ in range(40)]
        elbo = log_weights.mean().item()
        yield Check.of_mean(f"{name}, wider: its loss against -ELBO", -elbo, losses)
        yield Check(f"{name}, wider: ELBO", exact.mean().item(), elbo, tolerance=ROUNDING, relation="at_most")
    vae = _loss(lambda: VAE(DATA, VAE.Config(latent_dim=2)))
    hvae = _loss(lambda: HVAE(DATA, HVAE.Config(latent_dim=2, levels=1)))
    ladder = _loss(lambda: LadderVAE(DATA, LadderVAE.Config(latent_dim=2, levels=1)))
    yield Check("hvae of one level: the VAE's loss", vae, hvae, tolerance=1e-9)
    yield Check("ladder_vae of one level: the VAE's loss", vae, ladder, tolerance=1e-9)


def _prior() -> Tensor:
    """The covariance of z_1."""
    return V @ V.T + torch.diag(SPREAD**2)


def _upwards(scale: float) -> HVAE:
    """q(z_1|x) and q(z_2|z_1), `scale` times as wide as the exact ones."""
    model = HVAE(DATA, HVAE.Config(latent_dim=2, above="1", network="mlp"))
    _as_known(model)
    variance = 1 / ((W.T @ W).diagonal() / NOISE**2 + 1 / _prior().diagonal())
    model.encoder = _affine(variance[:, None] * W.T / NOISE**2, scale * variance.sqrt())
    variance = 1 / (1 + (V / SPREAD[:, None]).square().sum(0))
    model.posteriors = nn.ModuleList([_affine(variance[:, None] * V.T / SPREAD**2, scale * variance.sqrt())])
    return model


def _downwards(scale: float) -> LadderVAE:
    """q(z_2|x) and of z_1 what x alone tells, `scale` times as wide as the exact ones."""
    model = LadderVAE(DATA, LadderVAE.Config(latent_dim=2, above="1", network="mlp", level_hidden=3, batch_norm=False))
    _as_known(model)
    precision = (W.T @ W).diagonal() / NOISE**2
    first = _affine(W.T / NOISE**2 / precision[:, None], scale * precision.rsqrt())
    model.encoder = nn.Linear(3, 7)
    model.encoder.weight.copy_(torch.cat([first.weight, torch.eye(3)]))
    model.encoder.bias.copy_(torch.cat([first.bias, torch.zeros(3)]))
    gain = (W @ V).T @ torch.linalg.inv(W @ torch.diag(SPREAD**2) @ W.T + NOISE**2 * torch.eye(3))
    variance = 1 / (1 + (gain @ W @ V).diagonal())
    model.stages = nn.ModuleList([_affine(variance[:, None] * gain, scale * variance.sqrt())])
    return model


def _as_known(model: HierarchicalVAE) -> None:
    """Give the model the closed form's generative networks."""
    model.eval()
    model.decoder = _affine(W, torch.full((3,), NOISE))
    model.priors = nn.ModuleList([_affine(V, SPREAD)])


def _affine(weight: Tensor, std: Tensor) -> nn.Linear:
    """u to the parameters of N(weight u, std²)."""
    layer = nn.Linear(weight.shape[1], 2 * len(weight))
    layer.weight.copy_(torch.cat([weight, torch.zeros_like(weight)]))
    layer.bias.copy_(torch.cat([torch.zeros_like(std), std.log()]))
    return layer


def _loss(make: Callable[[], GradientModel]) -> float:
    torch.manual_seed(0)
    return float(make().loss(Batch(torch.randn(100, 3)), 1.0)["loss"])

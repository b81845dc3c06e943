"""The VAE in one dimension, where the optimum of the ELBO and the likelihood there have closed forms."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from genbench import Check
from genbench.model import DataSpec
from genbench_vae.vae import VAE

MU, SIGMA = 1.5, 2.0
#: The abscissas and weights of Gauss-Hermite quadrature under N(0, 1) that are exact up to degree 5; an ELBO has 2.
NODES = torch.tensor([-math.sqrt(3), 0.0, math.sqrt(3)], dtype=torch.float64)
WEIGHTS = torch.tensor([1 / 6, 2 / 3, 1 / 6], dtype=torch.float64)
#: Rounding in float64, and where a search ends whose function is flat at its maximum.
ROUNDING, SEARCH = 1e-12, 1e-6
POINTS, DRAWS = 2000, 20


def one_dimension() -> Iterator[Check]:
    """x ~ N(μ, σ²), q(z|x) = N(ax+b, 1), p(x|z) = N(cz+d, c²) and p(z) = N(0, 1).

    The ELBO's maximum, unique but for the sign of z, is at a = 1/(√2σ), b = -aμ, c = σ/√2, d = μ. There p(x) =
    N(d, 2c²) is the data's own distribution, p(z|x) = N(ax+b, 1/2), and what the ELBO is below log p(x) is the
    divergence between the two posteriors, (1 - ln 2)/2. With a = 1/σ, b = -μ/σ, c = σ, d = μ the means of the codes
    follow the prior and the decoder inverts the encoder, as if each of the ELBO's terms could have its own: the ELBO is
    lower by (ln 2)/2, and p(x) = N(μ, 2σ²) is too wide.
    """
    a = 1 / (math.sqrt(2) * SIGMA)
    best = (a, -a * MU, SIGMA / math.sqrt(2), MU)
    apart = (1 / SIGMA, -MU / SIGMA, SIGMA, MU)
    likelihood = -0.5 * math.log(2 * math.pi * math.e * SIGMA**2)
    gap = 0.5 * (1 - math.log(2))
    elbo = likelihood - gap

    for name, answer, known in (("optimum", best, elbo), ("terms apart", apart, elbo - 0.5 * math.log(2))):
        model = _model(*answer)
        with torch.no_grad():
            yield Check(f"ELBO by quadrature, {name}", known, _elbo(model).item(), tolerance=ROUNDING)
            x = MU + SIGMA * torch.randn(POINTS, 1, dtype=torch.float64)
            log_w = model.log_weights(x, DRAWS)
            log_p = Normal(MU, math.sqrt(2) * answer[2]).log_prob(x)[:, 0]
        yield Check.of_mean(f"ELBO by log weights, {name}", known, log_w.mean(0).tolist())
        yield Check.of_mean(f"w / p(x), {name}", 1.0, (log_w - log_p).exp().mean(0).tolist())
        if answer is best:
            yield Check.of_mean("log p(x) - ELBO, optimum", gap, (log_p - log_w.mean(0)).tolist())

    found, reached = _maximise(torch.randn(4, dtype=torch.float64))
    for name, known, value in zip("abcd", best, found, strict=True):
        yield Check(f"{name}, from a random start", known, value, tolerance=SEARCH)
    yield Check("ELBO, from a random start", elbo, reached, tolerance=ROUNDING)


class _Line(nn.Module):
    """t to slope t + intercept and a log standard deviation, side by side."""

    def __init__(self, slope: Tensor, intercept: Tensor, log_std: Tensor) -> None:
        super().__init__()
        self.slope, self.intercept, self.log_std = slope, intercept, log_std

    def forward(self, t: Tensor) -> Tensor:
        return torch.cat([self.slope * t + self.intercept, self.log_std.expand_as(t)], 1)


def _model(*answer: float | Tensor) -> VAE:
    """The VAE with a, b, c, d in place of its networks, in float64."""
    a, b, c, d = (torch.as_tensor(value, dtype=torch.float64) for value in answer)
    model = VAE(DataSpec((1,), "continuous"), VAE.Config(latent_dim=1, network="mlp")).double().eval()
    model.encoder, model.decoder = _Line(a, b, torch.zeros_like(a)), _Line(c, d, c.abs().log())
    return model


def _elbo(model: VAE) -> Tensor:
    """The mean ELBO over x, by quadrature over x and z."""
    x = MU + SIGMA * NODES[:, None]
    [(q, p)] = model.posterior(x)
    z = q.mean + q.stddev * NODES
    log_likelihood = model.observation(z.view(-1, 1)).log_prob(x.expand_as(z).reshape(-1, 1)).view_as(z)
    return WEIGHTS @ (log_likelihood @ WEIGHTS - kl_divergence(q, p)[:, 0])


def _maximise(start: Tensor) -> tuple[list[float], float]:
    """a, b, c, d with c > 0 where the ELBO is largest, and that ELBO."""
    answer = start.requires_grad_()
    search = torch.optim.LBFGS(
        [answer], max_iter=500, tolerance_grad=1e-10, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        value = -_elbo(_model(*answer))
        value.backward()
        return value

    search.step(loss)
    sign = answer[2].sign().item()
    a, b, c, d = answer.tolist()
    return [sign * a, sign * b, sign * c, d], -loss().item()

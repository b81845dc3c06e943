"""VAEs of labelled data against closed forms and quadrature."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from genbench import Check
from genbench.model import Batch, DataSpec
from genbench_vae.cvae import CVAE
from genbench_vae.ssvae import SSVAE

CLASSES, DIMS, LATENT, DRAWS = 3, 4, 2, 20_000
#: Standard deviation of p(x|z, y).
NOISE = 1.0
#: Rounding of log-probabilities of a few nats.
ROUNDING = 1e-4


@torch.no_grad()
def cvae() -> Iterator[Check]:
    """A linear decoder with a Gaussian prior for each label: p(x|y) is a normal density."""
    data = DataSpec((DIMS,), "continuous", num_classes=CLASSES)
    config = CVAE.Config(prior="label", latent_dim=LATENT, network="mlp", hidden=8, std=NOISE, dropout=0)
    model = CVAE(data, config).eval()
    weight = 0.3 * torch.randn(DIMS, LATENT + CLASSES)
    model.decoder = torch.nn.Linear(LATENT + CLASSES, DIMS, bias=False)
    model.decoder.weight.copy_(weight)
    assert model.prior_network is not None  # as prior="label"
    model.prior_network.weight.normal_(std=0.3)
    model.prior_network.weight[:, LATENT:] -= 0.5  # narrower than q, so that no weight is far above the others
    y = torch.arange(CLASSES).repeat_interleave(4)
    x = model.sample(len(y), y)

    p, loading = model.prior(y), weight[:, :LATENT]
    covariance = (loading * p.variance[:, None]) @ loading.T + NOISE**2 * torch.eye(DIMS)
    log_p = MultivariateNormal(p.mean @ loading.T + weight.T[LATENT + y], covariance).log_prob(x)
    ratios = (model.log_weights(x, DRAWS, y) - log_p).double().exp().mean(1)
    yield Check.of_mean("E p(x, z|y)/q(z|x, y), over p(x|y)", 1.0, ratios.tolist())

    [(q, p)] = model.posterior(x, y)
    z = q.sample((DRAWS,))
    differences = (q.log_prob(z) - p.log_prob(z)).sum(2).mean(1)
    known = kl_divergence(q, p).sum(1).mean().item()
    yield Check.of_mean("KL(q(z|x, y) || p(z|y)) of two Gaussians", known, differences.tolist())
    scalars = model.loss(Batch(x, y), 1.0)
    yield Check("the same in the loss", known, scalars["kl"].item(), tolerance=ROUNDING)


@torch.no_grad()
def ssvae() -> Iterator[Check]:
    """All images of four binary pixels, with a code of one dimension: p(x) and U(x) by quadrature."""
    data = DataSpec((4,), "binary", 2, num_classes=CLASSES)
    config = SSVAE.Config(latent_dim=1, network="mlp", hidden=8, dropout=0, labels=CLASSES)
    model = SSVAE(data, config).eval()
    for parameter in (*model.decoder.parameters(), *model.classifier.parameters()):
        parameter.mul_(3)
    x = torch.cartesian_prod(*[torch.arange(2.0)] * 4)
    log_joint, bounds = zip(*[_quadrature(model, x, y) for y in range(CLASSES)], strict=True)
    log_p = torch.stack(log_joint).logsumexp(0)
    yield Check("sum over all images", 1.0, log_p.exp().sum().item(), tolerance=ROUNDING)
    ratios = (model.log_weights(x, DRAWS) - log_p).double().exp().mean(1)
    yield Check.of_mean("E Σ_y p(y) p(x, z|y)/q(z|x, y), over p(x)", 1.0, ratios.tolist())

    log_q = model.class_log_probs(x).double()
    known = (log_q.exp() * (torch.stack(bounds, dim=1) - log_q)).sum(1).mean().item()
    draws = [-model.unlabelled(x, model.features(x), 1.0).mean().item() for _ in range(500)]
    yield Check.of_mean("-U(x): E_q(y, z|x)[log p(x, y, z) - log q(y, z|x)]", known, draws)
    yield Check.of_mean("-U(x), at most log p(x)", log_p.mean().item(), draws, relation="at_most")


def _quadrature(model: SSVAE, x: Tensor, y: int) -> tuple[Tensor, Tensor]:
    """log p(x, y) and E_q[log p(x, z, y) - log q(z|x, y)], `(B,)` each, by sums over equally spaced codes out to 8
    standard deviations."""
    z = torch.linspace(-8, 8, 1601)
    labels = torch.full_like(z, y, dtype=torch.long)
    log_prior = model.prior(labels).log_prob(z[:, None]).double()
    p = model.observation(z[:, None], labels)
    log_px = torch.stack([p.log_prob(point.expand(len(z), -1)) for point in x], dim=1).double()
    log_joint = log_prior + log_px - math.log(CLASSES)
    log_q = model.infer(model.features(x), labels[: len(x)]).log_prob(z[:, None, None])[..., 0].double()
    step = 16 / (len(z) - 1)
    return log_joint.logsumexp(0) + math.log(step), (log_q.exp() * (log_joint - log_q)).sum(0) * step

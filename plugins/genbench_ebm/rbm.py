"""Restricted Boltzmann machine (Smolensky 1986), trained by persistent contrastive divergence (Tieleman 2008)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genbench.model import (
    Batch,
    DataSpec,
    Encoder,
    Model,
    ModelConfig,
    Reconstructor,
    Sampler,
    Unnormalized,
)

#: Pixel frequencies are kept this far from 0 and 1, so that their logits are finite.
MARGIN = 0.01


class RBM(Model, Sampler, Encoder, Reconstructor, Unnormalized):
    """p(v, h) = exp(-E(v, h))/Z with E(v, h) = -v·b - h·c - v·W h, over binary v and h.

    The gradient of log p(v) is the difference of the statistics v h^T, v and h between data and model (Hinton 2002,
    section 3). Those of the data have h in closed form; those of the model come from chains that persist between
    updates, each moved by `gibbs_steps` of block Gibbs sampling (Tieleman 2008). In both, h is replaced by its mean
    given v, which lowers the variance. The step size falls with the square of what is left of the budget, so that the
    chains can follow the model.

    Chains between modes that are far apart mix slowly, and then the parameters swing around those of the largest
    likelihood. The model is therefore the mean of the parameters over all updates so far, each weighted by the number
    of its update (Shamir & Zhang 2013, section 4, with eta = 1; Swersky et al. 2010 average those of RBMs).

    There is no validation objective: the normaliser Z is unknown, and neither reconstruction error nor
    pseudo-likelihood follows the likelihood.

    The path of `Unnormalized` scales W and c by beta and moves the visible biases from those of the data's pixel
    frequencies to b (Salakhutdinov & Murray 2008, section 4.1.2, with the base-rate model as its start).
    """

    class Config(ModelConfig):
        """Options of `rbm`."""

        batch_size: int = Field(100, ge=1, description="data points per update")
        hidden: int = Field(256, ge=1, description="hidden units")
        learning_rate: float = Field(0.1, gt=0, description="step size at the start; it falls to zero as a square")
        momentum: float = Field(0.5, ge=0, lt=1, description="share of the last step that is taken again")
        weight_decay: float = Field(1e-4, ge=0, description="pull of the weights W to zero")
        gibbs_steps: int = Field(1, ge=1, description="steps of block Gibbs sampling per update")
        chains: int = Field(200, ge=1, description="persistent chains")
        sampling_steps: int = Field(1000, ge=1, description="Gibbs steps from a persistent chain to a sample")

    kinds: ClassVar[tuple[str, ...]] = ("binary",)
    config: Config
    base_bias: Tensor
    persistent: Tensor
    updates: Tensor

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        self.batch_size = config.batch_size
        # means of what `update` moves: there is no autograd here
        self.weight = nn.Parameter(0.01 * torch.randn(data.dims, config.hidden), requires_grad=False)
        self.visible_bias = nn.Parameter(torch.zeros(data.dims), requires_grad=False)
        self.hidden_bias = nn.Parameter(torch.zeros(config.hidden), requires_grad=False)
        self.register_buffer("base_bias", torch.zeros(data.dims))
        self.register_buffer("persistent", torch.bernoulli(torch.full((config.chains, data.dims), 0.5)))
        self.register_buffer("updates", torch.zeros(()), persistent=False)
        # weight, visible bias and hidden bias that updates move, and their last steps
        self._moving: list[Tensor] = []
        self._velocity: list[Tensor] = []

    @torch.no_grad()
    def setup(self, batch: Batch) -> None:
        """Visible biases from the pixels' frequencies (Hinton 2010, section 8.1), and chains that start there."""
        v = batch.x.flatten(1)
        frequency = v.mean(0).clamp(MARGIN, 1 - MARGIN)
        self.base_bias.copy_(torch.logit(frequency))
        self.visible_bias.copy_(self.base_bias)
        self.persistent.copy_(torch.bernoulli(frequency.expand_as(self.persistent)))

    @torch.no_grad()
    def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        v = batch.x.flatten(1)
        parameters = (self.weight, self.visible_bias, self.hidden_bias)
        if not self._moving:
            self._moving = [parameter.clone() for parameter in parameters]
            self._velocity = [torch.zeros_like(parameter) for parameter in parameters]
        weight, _, hidden_bias = self._moving
        for _ in range(self.config.gibbs_steps):
            self.persistent.copy_(_gibbs(self.persistent, *self._moving))
        data_hidden, model_hidden = (torch.sigmoid(x @ weight + hidden_bias) for x in (v, self.persistent))
        gradients = [
            v.T @ data_hidden / len(v)
            - self.persistent.T @ model_hidden / len(self.persistent)
            - self.config.weight_decay * weight,
            v.mean(0) - self.persistent.mean(0),
            data_hidden.mean(0) - model_hidden.mean(0),
        ]
        self.updates += 1
        share = 2.0 / (self.updates + 1.0)  # the last of 1 + 2 + … + n
        rate = self.config.learning_rate * (1.0 - progress) ** 2
        for mean, moving, velocity, gradient in zip(parameters, self._moving, self._velocity, gradients, strict=True):
            velocity.mul_(self.config.momentum).add_(gradient, alpha=rate)
            moving.add_(velocity)
            mean.lerp_(moving, share)
        # the difference of free energies has the likelihood's gradient, though not its value
        return {"loss": _free_energy(v, *self._moving).mean() - _free_energy(self.persistent, *self._moving).mean()}

    def training_state(self) -> dict[str, Any]:
        return {"moving": self._moving, "velocity": self._velocity, "updates": self.updates}

    def load_training_state(self, state: dict[str, Any]) -> None:
        device = self.weight.device
        self._moving, self._velocity = ([part.to(device) for part in state[name]] for name in ("moving", "velocity"))
        self.updates.copy_(state["updates"])

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)) = -v·b - sum_j softplus(c_j + (v W)_j), `(B,)`, in nats; v is `(B, D)`."""
        return _free_energy(v, self.weight, self.visible_bias, self.hidden_bias)

    def hidden_mean(self, v: Tensor) -> Tensor:
        """P(h_j = 1 | v), `(B, hidden)`; v is `(B, D)`."""
        return torch.sigmoid(v @ self.weight + self.hidden_bias)

    def visible_mean(self, h: Tensor) -> Tensor:
        """P(v_i = 1 | h), `(B, D)`; h is `(B, hidden)`."""
        return torch.sigmoid(h @ self.weight.T + self.visible_bias)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """States of chains that start from persistent ones and are run on for `sampling_steps`."""
        start = torch.randint(len(self.persistent), (n,), device=self.persistent.device)
        v = self.persistent[start]
        for _ in range(self.config.sampling_steps):
            v = _gibbs(v, self.weight, self.visible_bias, self.hidden_bias)
        return v.view(n, *self.data.shape)

    def encode(self, x: Tensor) -> Tensor:
        return self.hidden_mean(x.flatten(1))

    def decode(self, z: Tensor) -> Tensor:
        return self.visible_mean(z).view(len(z), *self.data.shape)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def log_unnormalized(self, x: Tensor, beta: float) -> Tensor:
        v = x.flatten(1)
        hidden = F.softplus(beta * (v @ self.weight + self.hidden_bias)).sum(1)
        return v @ self._bias(beta) + hidden

    def transition(self, x: Tensor, beta: float) -> Tensor:
        return _gibbs(x.flatten(1), beta * self.weight, self._bias(beta), beta * self.hidden_bias).view_as(x)

    def base_sample(self, n: int) -> Tensor:
        return torch.bernoulli(torch.sigmoid(self.base_bias).expand(n, -1)).view(n, *self.data.shape)

    def base_log_normalizer(self) -> Tensor:
        # at beta = 0 every hidden unit adds log 2 and every visible unit log(1 + exp(bias))
        return F.softplus(self.base_bias).sum() + self.config.hidden * math.log(2)

    def _bias(self, beta: float) -> Tensor:
        return (1.0 - beta) * self.base_bias + beta * self.visible_bias


def _free_energy(v: Tensor, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    return -v @ visible_bias - F.softplus(v @ weight + hidden_bias).sum(1)


def _gibbs(v: Tensor, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """One step of block Gibbs sampling: all h given v, then all v given h."""
    h = torch.bernoulli(torch.sigmoid(v @ weight + hidden_bias))
    return torch.bernoulli(torch.sigmoid(h @ weight.T + visible_bias))

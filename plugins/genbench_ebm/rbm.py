"""The restricted Boltzmann machine (Smolensky 1986), trained by persistent contrastive divergence (Tieleman 2008)."""

from __future__ import annotations

import math

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

#: Standard deviation of the weights at the start (Hinton 2010, section 8).
INITIAL_WEIGHT = 0.01

#: The running mean of the data moves this fraction of the way to each batch's mean.
MEAN_RATE = 0.01

#: Pixels that are always off or always on count as on with this probability or its complement in the base rates.
MIN_RATE = 1e-3


class RBM(Model, Sampler, Encoder, Reconstructor, Unnormalized):
    """p(v, h) = exp(b·v + c·h + vᵀWh) / Z over binary v (the data) and h.

    The gradient of the mean log-likelihood in W is E_data[v hᵀ] - E_model[v hᵀ], in b and c likewise. The second
    expectation is taken over persistent chains, which go on by `gibbs_steps` sweeps of Gibbs sampling after every
    change of the parameters. Both are taken of v and h less the data's means of them, which makes the gradient
    invariant to flips of bits and better conditioned; the biases' updates make up for it (the centred gradient:
    Melchior, Fischer & Wiskott 2016, Journal of Machine Learning Research 17). The step size falls linearly to zero
    over the budget, as in Tieleman (2008).

    There is no validation objective: log p(v) needs Z, and the quantities that don't (reconstruction error,
    pseudo-likelihood) may improve while it falls. The loss is the gap in mean free energy between data and chains,
    in nats, whose gradient training follows; it hovers about zero.

    The path of `Unnormalized` leads through machines with parameters (1-beta) b_0 + beta b, beta c and beta W, from
    independent pixels with the data's mean, b_0 = logit(mean) (Salakhutdinov & Murray 2008, section 4.1).
    """

    class Config(ModelConfig):
        """Options of `RBM`."""

        batch_size: int = Field(128, ge=1, description="data points per training step")
        learning_rate: float = Field(0.05, gt=0, description="step size at the start; it falls linearly to zero")
        hidden: int = Field(256, ge=1, description="hidden units")
        chains: int = Field(256, ge=1, description="persistent Markov chains")
        gibbs_steps: int = Field(1, ge=1, description="Gibbs sweeps of the chains per training step")
        sample_steps: int = Field(100, ge=0, description="Gibbs sweeps from the chains' states to a sample")

    kinds = ("binary",)
    config: Config
    visible_mean: Tensor
    hidden_mean: Tensor
    chains: Tensor

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        self.batch_size = config.batch_size
        self.weight = nn.Parameter(INITIAL_WEIGHT * torch.randn(data.dims, config.hidden))
        self.visible_bias = nn.Parameter(torch.zeros(data.dims))
        self.hidden_bias = nn.Parameter(torch.zeros(config.hidden))
        self.register_buffer("visible_mean", torch.full((data.dims,), 0.5))
        self.register_buffer("hidden_mean", torch.full((config.hidden,), 0.5))
        self.register_buffer("chains", torch.zeros(config.chains, data.dims))

    @torch.no_grad()
    def setup(self, batch: Batch) -> None:
        self.visible_mean.copy_(batch.x.flatten(1).mean(0).clamp(MIN_RATE, 1 - MIN_RATE))
        self.visible_bias.copy_(self._base_bias())
        self.chains.copy_(self._base_draw(len(self.chains)))

    @torch.no_grad()
    def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        # what is learned is a small difference of large moments, which bfloat16 would lose
        with torch.autocast(batch.x.device.type, enabled=False):
            return self._step(batch.x.flatten(1), self.config.learning_rate * (1.0 - progress))

    def _step(self, v: Tensor, rate: float) -> dict[str, Tensor]:
        for _ in range(self.config.gibbs_steps):
            self.chains.copy_(self._gibbs(self.chains, 1.0))
        inputs, chain_inputs = self._inputs(v), self._inputs(self.chains)
        h, chain_h = torch.sigmoid(inputs), torch.sigmoid(chain_inputs)
        gap = self._free_energy(v, inputs).mean() - self._free_energy(self.chains, chain_inputs).mean()

        self.visible_mean.lerp_(v.mean(0).clamp(MIN_RATE, 1 - MIN_RATE), MEAN_RATE)
        self.hidden_mean.lerp_(h.mean(0), MEAN_RATE)
        mean_v, mean_h = self.visible_mean, self.hidden_mean
        step_w = (v - mean_v).T @ (h - mean_h) / len(v)
        step_w -= (self.chains - mean_v).T @ (chain_h - mean_h) / len(self.chains)
        step_b = v.mean(0) - self.chains.mean(0) - step_w @ mean_h
        step_c = h.mean(0) - chain_h.mean(0) - mean_v @ step_w
        for parameter, step in ((self.weight, step_w), (self.visible_bias, step_b), (self.hidden_bias, step_c)):
            parameter.add_(step, alpha=rate)
        return {"loss": gap}

    def free_energy(self, x: Tensor) -> Tensor:
        """F(v) = -b·v - sum_j ln(1 + exp(c_j + (vᵀW)_j)), `(B,)`, in nats: p(v) = exp(-F(v)) / Z."""
        v = x.flatten(1)
        return self._free_energy(v, self._inputs(v))

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` draws `(n, *shape)`, each `sample_steps` sweeps away from one of the persistent chains."""
        start = torch.randint(len(self.chains), (n,), device=self.chains.device)
        v = self.chains[start]
        for _ in range(self.config.sample_steps):
            v = self._gibbs(v, 1.0)
        return v.reshape(n, *self.data.shape)

    def encode(self, x: Tensor) -> Tensor:
        """P(h_j = 1|v), `(B, hidden)`."""
        return torch.sigmoid(self._inputs(x.flatten(1)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """P(v_i = 1|h) at h = `encode(x)`: one mean-field step, there and back."""
        return torch.sigmoid(self._outputs(self.encode(x), 1.0)).reshape(x.shape)

    def log_unnormalized(self, x: Tensor, beta: float) -> Tensor:
        v = x.flatten(1)
        return v @ self._bias(beta) + F.softplus(beta * self._inputs(v)).sum(1)

    def transition(self, x: Tensor, beta: float) -> Tensor:
        """One Gibbs sweep of the machine at `beta`: h given v, then v given h."""
        return self._gibbs(x.flatten(1), beta).reshape(x.shape)

    def base_sample(self, n: int) -> Tensor:
        return self._base_draw(n).reshape(n, *self.data.shape)

    def base_log_normalizer(self) -> Tensor:
        return F.softplus(self._base_bias()).sum() + self.config.hidden * math.log(2)

    def _inputs(self, v: Tensor) -> Tensor:
        """What the hidden units receive from `v`, `(B, hidden)`."""
        return torch.addmm(self.hidden_bias, v, self.weight)

    def _outputs(self, h: Tensor, beta: float) -> Tensor:
        """What the visible units receive from `h` at `beta`, `(B, dims)`."""
        return torch.addmm(self._bias(beta), h, self.weight.T, alpha=beta)

    def _bias(self, beta: float) -> Tensor:
        return torch.lerp(self._base_bias(), self.visible_bias, beta)

    def _base_bias(self) -> Tensor:
        return torch.logit(self.visible_mean)

    def _base_draw(self, n: int) -> Tensor:
        return torch.bernoulli(self.visible_mean.expand(n, -1))

    def _gibbs(self, v: Tensor, beta: float) -> Tensor:
        h = torch.bernoulli(torch.sigmoid(beta * self._inputs(v)))
        return torch.bernoulli(torch.sigmoid(self._outputs(h, beta)))

    def _free_energy(self, v: Tensor, inputs: Tensor) -> Tensor:
        return -(v @ self.visible_bias) - F.softplus(inputs).sum(1)

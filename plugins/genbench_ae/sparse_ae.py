"""The sparse autoencoder (Lee, Ekanadham & Ng 2008, NIPS 20; Ng 2011, CS294A lecture notes, section 3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor, nn

from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_ae.autoencoder import ACTIVATIONS, Autoencoder, AutoencoderConfig

CODES: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "linear": nn.Identity}
#: What ends a layer, the code's too.
UNITS = (*ACTIVATIONS.values(), nn.Identity)
#: Mean activations are kept this far from 0 and 1, where the divergence is infinite.
MARGIN = 1e-6


def _as_text(value: Any) -> Any:
    return f"{Decimal(str(value)):f}" if type(value) in (int, float) else value


#: A number for the code alone, or one per layer joined by dashes, the code's last: 0.1, or 0.02-0.1.
PerLayer = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^\d*\.?\d+(-\d*\.?\d+)*$")]


def kl(target: float, mean: Tensor) -> Tensor:
    """KL(Bernoulli(target) || Bernoulli(mean)) for a target in (0, 1), elementwise, in nats."""
    mean = mean.clamp(MARGIN, 1 - MARGIN)
    return target * torch.log(target / mean) + (1 - target) * torch.log((1 - target) / (1 - mean))


class SparseAE(Autoencoder):
    """An autoencoder whose units h are kept quiet: the loss is its error |x - x'|² (or cross-entropy) summed over
    dimensions, plus the sum over layers of weight · penalty. The penalty of a layer, summed over its units, is

    - `kl`: KL(ρ || ρ̂) with ρ the layer's target and ρ̂ the unit's mean over the batch;
    - `l1`: |h|, and `l2`: h², a mean over data points; both pull to 0.

    Errors and penalties are sums over dimensions and units and means over data points, so that no weight depends on
    the size of a batch. Without weight it is the plain autoencoder. `update` also returns the penalised layers' mean
    |h|: `activation` is the code's, `activation_1` that of the layer before it, and so on.

    Raises:
        UnsupportedData: more weights than the encoder has layers, and as `Autoencoder`.
    """

    class Config(AutoencoderConfig):
        """Options of `sparse_ae`."""

        latent_dim: int | None = Field(
            None, ge=1, description="size of the code; by default twice that of the data, but no more than 512"
        )
        penalty: Literal["kl", "l1", "l2"] = Field(
            "kl", description="divergence of a unit's mean activation from its target, mean |h|, or mean h²"
        )
        weight: PerLayer = Field(
            "0.3",
            description="weight of the penalty on the code (0.3), or on the layers up to the code (0-0.1-0.3); 0 is a "
            "plain autoencoder",
        )
        target: PerLayer = Field(
            "0.05",
            description="mean activation that penalty=kl pulls to, of all layers (0.05) or listed as weight (0.2-0.05)",
        )
        code_activation: Literal["sigmoid", "relu", "linear"] = Field("sigmoid", description="of the code's units")

        @model_validator(mode="after")
        def _targets_that_can_be_met(self) -> SparseAE.Config:
            if len(self.targets) != len(self.weights):
                raise ValueError(f"target={self.target} and weight={self.weight} list different numbers of layers")
            if self.penalty != "kl":
                return self
            if not all(0 < target < 1 for target in self.targets):
                raise ValueError(f"penalty=kl needs targets between 0 and 1, not target={self.target}")
            if self.weights[-1] and self.code_activation != "sigmoid":
                raise ValueError(f"penalty=kl needs code_activation=sigmoid, not {self.code_activation}")
            if any(self.weights[:-1]) and self.activation != "sigmoid":
                raise ValueError(f"penalty=kl of hidden layers needs activation=sigmoid, not {self.activation}")
            return self

        @property
        def weights(self) -> tuple[float, ...]:
            """Of the layers up to the code, which is the last."""
            return tuple(float(weight) for weight in self.weight.split("-"))

        @property
        def targets(self) -> tuple[float, ...]:
            """Of the same layers."""
            targets = tuple(float(target) for target in self.target.split("-"))
            return targets * len(self.weights) if len(targets) == 1 else targets

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        units = [module for module in _in_order(self.encoder) if isinstance(module, UNITS)]
        if len(config.weights) > len(units):
            raise UnsupportedData(f"weight={config.weight} lists {len(config.weights)} layers, there are {len(units)}")

    def default_latent_dim(self) -> int:
        return min(2 * self.data.dims, 512)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        encoder, decoder = super().networks()
        return nn.Sequential(encoder, CODES[self.config.code_activation]()), decoder

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        layers = self.activations(batch.x)
        error = self.error(self.decoder(layers[-1]), batch.x)
        scalars = {"loss": error, "error": error}
        config = self.config
        for above, (weight, target) in enumerate(zip(reversed(config.weights), reversed(config.targets), strict=True)):
            if weight:
                h = layers[-1 - above]
                scalars["loss"] = scalars["loss"] + weight * self.penalty(h, target)
                scalars[f"activation_{above}" if above else "activation"] = h.detach().float().abs().mean()
        return scalars

    def penalty(self, h: Tensor, target: float) -> Tensor:
        """The penalty of a layer's activations `(B, units)`, a scalar."""
        h = h.to(torch.promote_types(h.dtype, torch.float32))  # under autocast they are not
        if self.config.penalty == "kl":
            return kl(target, h.mean(0)).sum()
        return (h.abs() if self.config.penalty == "l1" else h.square()).sum(1).mean()

    def activations(self, x: Tensor) -> list[Tensor]:
        """Of the encoder's layers up to the code, which is the last, `(B, units)` each."""
        found = []
        for module in _in_order(self.encoder):
            x = module(x)
            if isinstance(module, UNITS):
                found.append(x.flatten(1))
        return found


def _in_order(network: nn.Module) -> list[nn.Module]:
    """What a network without branches does one after the other."""
    return [module for module in network.modules() if not list(module.children())]

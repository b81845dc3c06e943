"""The contractive autoencoder (Rifai et al. 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genbench.model import Batch, Network
from genbench_ae.autoencoder import ACTIVATIONS, Autoencoder, AutoencoderConfig
from genbench_ae.jacobian import exact, hutchinson, one_sigmoid_layer


class CAE(Autoencoder):
    """An autoencoder whose code moves little when the data does: its loss is the error plus `weight` times the mean
    over data points of |J|², the squared Frobenius norm of the Jacobian of the code f(x) (Rifai et al. 2011,
    equation 7).

    The code goes through a sigmoid and the decoder has the encoder's weights transposed, as there: with weights of its
    own, it could undo any shrinking of the code, and the penalty would mean nothing. |J|² has a closed form where f is
    one sigmoid layer; for deeper encoders it is computed exactly or estimated.

    Raises:
        UnsupportedData: as `Autoencoder` does.
    """

    class Config(AutoencoderConfig):
        """Options of `cae`."""

        network: Network = Field("mlp", description="convolutional, fully connected, or as suits the data's shape")
        weight: float = Field(0.1, ge=0, description="weight of the Jacobian's squared norm in the loss")
        jacobian: Literal["auto", "exact", "hutchinson"] = Field(
            "auto",
            description="how its norm is found: row by row, by random probes, or by default in closed form for one "
            "sigmoid layer and by probes for more",
        )
        probes: int = Field(1, ge=1, description="random directions per data point (jacobian=hutchinson)")
        code: Literal["sigmoid", "linear"] = Field("sigmoid", description="what the last layer's code goes through")
        tied: bool = Field(True, description="whether a fully connected decoder has the encoder's weights, transposed")

    config: Config

    def networks(self) -> tuple[nn.Module, nn.Module]:
        encoder, decoder = super().networks()
        if self.config.tied and not any(isinstance(part, nn.Conv2d) for part in encoder.modules()):
            decoder = TiedDecoder(_linear(encoder), ACTIVATIONS[self.config.activation](), self.data.shape)
        return (nn.Sequential(encoder, nn.Sigmoid()) if self.config.code == "sigmoid" else encoder), decoder

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        if self.config.weight == 0:
            return super().loss(batch, progress)
        with torch.enable_grad():  # held-out data is scored by the same loss, without gradients
            # a view, as torch's module hooks, such as those that count flops, don't stand gradients of a leaf
            x = batch.x.detach().requires_grad_().view_as(batch.x)
            code = self.encode(x)
        error = self.error(self.decoder(code), batch.x)
        contraction = self.contraction(code, x).mean()
        return {"loss": error + self.config.weight * contraction, "error": error, "contraction": contraction}

    def contraction(self, code: Tensor, x: Tensor) -> Tensor:
        """|J|² of every data point, `(B,)`, for the `code` `(B, d)` of an `x` that requires gradients."""
        layers = _linear(self.encoder)
        if self.config.jacobian == "auto" and self.config.code == "sigmoid" and len(layers) == 1:
            return one_sigmoid_layer(code, layers[0])
        if self.config.jacobian == "exact":
            return exact(code, x)
        return hutchinson(code, x, self.config.probes)


class TiedDecoder(nn.Module):
    """Codes `(B, d)` to `(B, *shape)` through biases of its own and the transposed weights of an encoder's `layers`,
    which stay the encoder's."""

    def __init__(self, layers: Sequence[nn.Linear], activation: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.biases = nn.ParameterList(torch.zeros(layer.in_features) for layer in reversed(layers))
        self.activation = activation
        self.shape = tuple(shape)
        self.layers = tuple(reversed(layers))  # a tuple, so that they are not taken for parts of this module

    def forward(self, z: Tensor) -> Tensor:
        for index, (layer, bias) in enumerate(zip(self.layers, self.biases, strict=True)):
            z = F.linear(self.activation(z) if index else z, layer.weight.T, bias)
        return z.unflatten(1, self.shape)


def _linear(network: nn.Module) -> list[nn.Linear]:
    """The linear layers of a network, in order; a convolutional encoder has two."""
    return [part for part in network.modules() if isinstance(part, nn.Linear)]

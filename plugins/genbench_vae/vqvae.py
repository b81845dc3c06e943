"""The vector-quantised autoencoder (van den Oord, Vinyals & Kavukcuoglu 2017), with a learned prior over its codes."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genbench.model import (
    Batch,
    DataSpec,
    Encoder,
    GradientConfig,
    GradientModel,
    LatentBound,
    Observation,
    Quantized,
    Reconstructor,
    Sampler,
    UnsupportedData,
    he_init,
    observe,
    parameter_channels,
)
from genbench_vae.codebook import Codebook, perplexity, usage
from genbench_vae.marginal import marginal_parameters
from genbench_vae.pixelcnn import GatedPixelCNN


class VQVAE(GradientModel, Sampler, LatentBound, Quantized, Encoder, Reconstructor):
    """p(x) = Σ_c P(c) p(x|e(c)) over grids of codes c, with q(c|x) all on the codes nearest to the encoder's output z.

    The loss is -log p(x|e) + |sg(z) - e|² + commitment |z - sg(e)|² (equation 3), without the middle term where the
    codebook follows by moving averages, and -log P(sg(c)). Gradients pass from e to z unchanged, and the prior P, a
    gated PixelCNN, does not influence the codes that it is trained on. As q is certain, log p(x|e) + log P(c) is at
    most log p(x): a bound in nats.

    The prior is trained beside the rest, or after it, on what is left of the budget, with everything else frozen; until
    then the loss has the uniform prior's rate. All moves end with their stage of the budget: the averages slow down as
    the step size does, so that the prior is not left behind by codes that change their meaning.

    Raises:
        UnsupportedData: (by `check_data`) the data is not images.
    """

    class Config(GradientConfig):
        """Options of `vqvae`."""

        learning_rate: float = Field(2e-3, gt=0, description="Adam's step size at its largest")
        codes: int = Field(8, ge=2, description="vectors in the codebook")
        code_dim: int = Field(4, ge=1, description="size of each of them")
        halvings: int | None = Field(
            None,
            ge=1,
            le=6,
            description="times the image is halved to the grid; by default once below 16 pixels, else twice",
        )
        width: int = Field(32, ge=1, description="channels at the first halving; there are twice as many on the grid")
        blocks: int = Field(2, ge=0, description="residual blocks on the grid, in the encoder and in the decoder")
        dropout: float = Field(0.3, ge=0, lt=1, description="share of hidden units that are dropped in training")
        commitment: float = Field(
            0.25, ge=0, description="weight of the squared distance to the codes, summed over the grid, per data point"
        )
        codebook: Literal["ema", "gradient"] = Field(
            "ema", description="how the codebook is learnt: by moving averages, or by the gradient of its own loss"
        )
        decay: float = Field(
            0.95, ge=0, lt=1, description="decay per step of the moving averages, and of the counts of use"
        )
        revive: float = Field(
            0.05, gt=0, lt=1, description="share of the average use below which a code is dead and is put elsewhere"
        )
        prior_share: float = Field(
            0.0, ge=0, lt=1, description="last share of the budget, for the prior alone; 0: all is trained throughout"
        )
        prior_width: int = Field(32, ge=1, description="channels of the prior")
        prior_layers: int = Field(3, ge=1, description="gated layers of the prior")
        prior_dropout: float = Field(0.3, ge=0, lt=1, description="dropout in the prior")

    config: Config

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        _, height, width = data.shape
        halvings = config.halvings or (1 if min(height, width) < 16 else 2)
        grid = (math.ceil(height / 2**halvings), math.ceil(width / 2**halvings))
        multiplier = parameter_channels(data)
        self.encoder = _encoder(data.shape[0], halvings, config)
        self.decoder = _decoder(multiplier * data.shape[0], halvings, config)
        self.marginal = nn.Parameter(torch.zeros(multiplier * data.shape[0], height, width))
        self.codebook_size = config.codes
        self.codebook = Codebook(config.codes, config.code_dim, config.revive, averaged=config.codebook == "ema")
        self.prior = GatedPixelCNN(config.codes, grid, config.prior_width, config.prior_layers, config.prior_dropout)

    @classmethod
    def check_data(cls, data: DataSpec) -> None:
        super().check_data(data)
        if not data.is_image:
            raise UnsupportedData(f"needs images (C, H, W), this data has shape {data.shape}")

    @torch.no_grad()
    def setup(self, batch: Batch) -> None:
        self.marginal.copy_(marginal_parameters(self.data, batch.x))
        self.codebook.start(self.encoder(batch.x))

    def annealing(self, progress: float) -> float:
        share = self.config.prior_share
        if self._frozen(progress):
            return super().annealing((progress - (1 - share)) / share)
        return super().annealing(progress / (1 - share))

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        return self._prior_loss(batch.x) if self._frozen(progress) else self._autoencoder_loss(batch.x, progress)

    def _frozen(self, progress: float) -> bool:
        """Whether only the prior is still trained."""
        return self.config.prior_share > 0 and progress >= 1 - self.config.prior_share

    def _autoencoder_loss(self, x: Tensor, progress: float) -> dict[str, Tensor]:
        z = self.encoder(x)
        codes = self.codebook.nearest(z)
        e = self.codebook(codes)
        nll = -self.observation(z + (e - z).detach()).log_prob(x).mean()
        if self.config.prior_share:
            rate = nll.new_tensor(math.prod(self.prior.grid) * math.log(self.codebook_size))
        else:
            rate = -self.prior.log_prob(codes).mean()
        loss = nll + rate + self.config.commitment * _squared(z - e.detach())
        if self.config.codebook == "gradient":
            loss = loss + _squared(z.detach() - e)
        if self.training:
            self.codebook.follow(z, codes, (1 - self.config.decay) * self.annealing(progress))
        return {"loss": loss, "nll": nll, "rate": rate, **self._in_use(codes)}

    def _prior_loss(self, x: Tensor) -> dict[str, Tensor]:
        self.encoder.eval()  # the codes that will be scored, which dropout would change
        codes = self.codes(x)
        self.encoder.train(self.training)
        rate = -self.prior.log_prob(self._on_grid(codes)).mean()
        return {"loss": rate, "rate": rate, **self._in_use(codes)}

    def _in_use(self, codes: Tensor) -> dict[str, Tensor]:
        return {"perplexity": perplexity(codes, self.codebook_size), "usage": usage(codes, self.codebook_size)}

    def validation_loss(self, batch: Batch) -> Tensor:
        """-log p(x|e) - log P(c): the loss without the commitment, which is no part of the bound."""
        return -self._log_joint(batch.x).mean()

    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        """The same `k` times: q is certain, and its log is 0."""
        return self._log_joint(x).expand(k, len(x))

    @torch.no_grad()
    def codes(self, x: Tensor) -> Tensor:
        return self.codebook.nearest(self.encoder(x)).flatten(1)

    def log_likelihood(self, x: Tensor, codes: Tensor) -> Tensor:
        return self.observation(self.codebook(self._on_grid(codes))).log_prob(x)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        return self.observation(self.codebook(self.prior.sample(n))).sample()

    def encode(self, x: Tensor) -> Tensor:
        """The codes' vectors, `(B, code_dim*h*w)`."""
        return self.codebook(self._on_grid(self.codes(x))).flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|e) for the codebook's vectors e that are nearest to those in `z`."""
        vectors = z.view(len(z), self.config.code_dim, *self.prior.grid)
        return self.observation(self.codebook(self.codebook.nearest(vectors))).mean

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def observation(self, e: Tensor) -> Observation:
        """p(x|e) for a grid of vectors `(B, code_dim, h, w)`."""
        _, height, width = self.data.shape
        return observe(self.data, self.decoder(e)[:, :, :height, :width] + self.marginal)

    def _log_joint(self, x: Tensor) -> Tensor:
        codes = self.codes(x)
        return self.log_likelihood(x, codes) + self.prior.log_prob(self._on_grid(codes))

    def _on_grid(self, codes: Tensor) -> Tensor:
        return codes.view(len(codes), *self.prior.grid)


def _squared(difference: Tensor) -> Tensor:
    """The squared norm of each data point's vectors `(B, d, h, w)`, averaged over the batch."""
    return difference.square().flatten(1).sum(1).mean()


class _Residual(nn.Module):
    """x plus a 3x3 and a 1x1 convolution of it with half as many channels between them (section 4.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.narrow = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.silu(self.wide(F.silu(x))))


def _encoder(channels: int, halvings: int, config: VQVAE.Config) -> nn.Sequential:
    """Images to outputs on the grid, `(B, code_dim, h, w)`; every halving rounds up."""
    layers: list[nn.Module] = []
    for step in range(halvings):
        width = 2 * config.width if step == halvings - 1 else config.width
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.SiLU(), nn.Dropout2d(config.dropout)]
        channels = width
    layers += [_Residual(channels) for _ in range(config.blocks)]
    network = nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(channels, config.code_dim, 1))
    he_init(network)
    return network


def _decoder(channels: int, halvings: int, config: VQVAE.Config) -> nn.Sequential:
    """Vectors on the grid to `(B, channels, H, W)`, as much larger than the image as the halvings rounded up. Starts
    at 0 everywhere."""
    width = 2 * config.width
    layers: list[nn.Module] = [nn.Conv2d(config.code_dim, width, 3, padding=1)]
    layers += [_Residual(width) for _ in range(config.blocks)]
    for _ in range(halvings - 1):
        layers += [nn.SiLU(), nn.Dropout2d(config.dropout), nn.ConvTranspose2d(width, config.width, 4, 2, padding=1)]
        width = config.width
    last = nn.ConvTranspose2d(width, channels, 4, 2, padding=1)
    network = nn.Sequential(*layers, nn.SiLU(), nn.Dropout2d(config.dropout), last)
    he_init(network)
    nn.init.zeros_(last.weight)
    return network

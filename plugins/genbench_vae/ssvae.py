"""The semi-supervised variational autoencoder M2 (Kingma, Rezende, Mohamed & Welling 2014), which learns to classify
from few labels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.distributions import kl_divergence

from genbench.model import Batch, Classifier, DataSpec, Encoder, Network, Reconstructor, UnsupportedData, mlp
from genbench_vae.gaussian import warm_up
from genbench_vae.labels import FEATURES, LabelledVAE
from genbench_vae.vae import VAE

#: Points without labels to each labelled point of a training step.
UNLABELLED = 8


class SSVAE(LabelledVAE, Encoder, Reconstructor, Classifier):
    """p(x) = Σ_y p(y) ∫ p(x|z, y) N(z; 0, I) dz with p(y) uniform, and q(y|x) q(z|x, y).

    A point of known label costs L(x, y) = E_q(z|x,y)[-log p(x|z, y)] + KL(q(z|x, y) || p(z)) - log p(y), a bound on
    -log p(x, y) (equation 6), any other U(x) = Σ_y q(y|x) L(x, y) - H(q(y|x)), a bound on -log p(x) with the sum over
    all labels (equation 7). The loss is their mean over a step's points, and alpha times -log q(y|x) at the labelled
    ones (equation 9, divided by the number of points). beta and warm-up weigh the divergence, as in `VAE`.

    Which labels are known: those of `labels` points out of the few hundred that `setup` is shown, as many of each class
    as can be. These points are kept as they looked then: under dynamic binarisation, binarised once. No other label is
    ever looked at, in the batches of `update` or in held-out data, where U(x) alone chooses the best weights. Nothing
    tells which points of a batch are among those kept, so all of it counts as unlabelled, and an eighth as many
    labelled points are drawn beside it: where labels are few, their points are seen far more often than others.

    It is no `Posterior`: that of y is no Gaussian.

    Raises:
        UnsupportedData: there are fewer `labels` than classes, or (by `check_data`) the data has none.
    """

    class Config(VAE.Config):
        """Options of `ssvae`."""

        network: Network = Field("mlp", description="convolutional, fully connected, or as suits the data's shape")
        labels: int = Field(100, ge=1, le=512, description="training points whose labels are known")
        alpha: float = Field(1.0, ge=0, description="weight of the classification error of these in the loss")

    config: Config
    labelled_x: Tensor
    labelled_y: Tensor

    def __init__(self, data: DataSpec, config: Config) -> None:
        super().__init__(data, config)
        if config.labels < self.classes:
            raise UnsupportedData(f"labels={config.labels} is not one for each of {self.classes} classes")
        self.classifier = mlp((FEATURES, FEATURES, self.classes), dropout=config.dropout)
        # training data is no part of a checkpoint
        self.register_buffer("labelled_x", torch.zeros(config.labels, *data.shape), persistent=False)
        self.register_buffer("labelled_y", torch.zeros(config.labels, dtype=torch.long), persistent=False)

    def setup(self, batch: Batch) -> None:
        """Start from the data's mean and spread, and choose the points whose labels are known.

        Raises:
            ValueError: there are not enough points.
        """
        super().setup(batch)
        assert batch.y is not None  # see `check_data`
        if len(batch.x) < self.config.labels:
            raise ValueError(f"labels={self.config.labels}, but set-up shows {len(batch.x)} training points only")
        # in rounds, each of which has one point of every class
        position = F.one_hot(batch.y, self.classes).cumsum(0).gather(1, batch.y[:, None])[:, 0]
        chosen = (position * self.classes + batch.y).argsort()[: self.config.labels]
        self.labelled_x.copy_(batch.x[chosen])
        self.labelled_y.copy_(batch.y[chosen])

    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        weight = self.config.beta * warm_up(progress, self.config.warmup)
        drawn = torch.randint(len(self.labelled_y), (math.ceil(len(batch.x) / UNLABELLED),), device=batch.x.device)
        x, y = self.labelled_x[drawn], self.labelled_y[drawn]
        features = self.features(torch.cat([batch.x, x]))
        without, known = features.split([len(batch.x), len(x)])
        unlabelled = self.unlabelled(batch.x, without, weight)
        labelled = self.labelled(x, known, y, weight)
        classification = F.nll_loss(self.log_q(known), y)
        return {
            "loss": torch.cat([unlabelled, labelled]).mean() + self.config.alpha * classification,
            "unlabelled": unlabelled.mean(),
            "labelled": labelled.mean(),
            "classification": classification,
        }

    def validation_loss(self, batch: Batch) -> Tensor:
        """U(x): the labels of held-out data are not known."""
        return self.unlabelled(batch.x, self.features(batch.x), self.config.beta).mean()

    def labelled(self, x: Tensor, features: Tensor, y: Tensor, weight: float) -> Tensor:
        """L(x, y) with one draw of z, `(B,)`, in nats."""
        q = self.infer(features, y)
        nll = -self.observation(q.rsample(), y).log_prob(x)
        return nll + weight * kl_divergence(q, self.prior(y)).sum(1) + math.log(self.classes)

    def unlabelled(self, x: Tensor, features: Tensor, weight: float) -> Tensor:
        """U(x) with one draw of z for every label, `(B,)`, in nats."""
        log_q = self.log_q(features)
        y = torch.arange(self.classes, device=x.device).repeat_interleave(len(x))
        copies = x.expand(self.classes, *x.shape).flatten(0, 1)
        cost = self.labelled(copies, features.repeat(self.classes, 1), y, weight).view(self.classes, len(x))
        return (log_q.exp() * (cost.T + log_q)).sum(1)

    def log_q(self, features: Tensor) -> Tensor:
        """log q(y|x) of points of these `features`, `(B, classes)`."""
        return self.classifier(features).float().log_softmax(1)

    def class_log_probs(self, x: Tensor) -> Tensor:
        """log q(y|x)."""
        return self.log_q(self.features(x))

    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        """log Σ_y p(y) p(x, z_y|y)/q(z_y|x, y) for `k` draws of a z_y ~ q(z|x, y) for every y, `(k, B)`, in nats.

        Each term has the mean p(y) p(x|y), so that the mean of the whole is p(x); q(y|x) is no part of it. With
        labels given, the weights are those of log p(x|y).
        """
        features = self.features(x)
        if y is not None:
            return self.conditional_weights(x, k, y, features)
        labels = torch.arange(self.classes, device=x.device)[:, None].expand(-1, len(x))
        weights = torch.stack([self.conditional_weights(x, k, each, features) for each in labels])
        return weights.logsumexp(0) - math.log(self.classes)

    def encode(self, x: Tensor) -> Tensor:
        """q(y|x), which has learnt from labels, and the mean of q(z|x, y) for its most probable y, side by side:
        `(B, classes + latent_dim)`."""
        features = self.features(x)
        log_q = self.log_q(features)
        return torch.cat([log_q.exp(), self.infer(features, log_q.argmax(1)).mean], dim=1)

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z, y) for the most probable y of a code."""
        return self.observation(z[:, self.classes :], z[:, : self.classes].argmax(1)).mean

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

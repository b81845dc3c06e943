"""What a trained model can do. A metric asks for the capabilities that it needs; the harness does all the measuring.

All are called in evaluation mode and without gradients, on the model's device. `x` is `(B, *shape)` as in a batch,
`y` is `(B,)` labels or None.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from torch.distributions import Distribution, Normal, kl_divergence

if TYPE_CHECKING:
    from genbench.model.observation import Observation


class Sampler(ABC):
    """Draws new data points."""

    @abstractmethod
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` samples `(n, *shape)` in the data's presentation (discrete data on its grid in [0, 1])."""


class Density(ABC):
    """Has an exact, normalised log-density or log-probability.

    Attributes:
        continuous: True where `log_prob` is a density over real vectors. On discrete data the harness then passes
            uniformly dequantised points u in [0, 1) (`genbench.model.dequantize`) and turns the density into a bound
            on the probability of the levels (Theis et al. 2016).
    """

    continuous: ClassVar[bool] = False

    @abstractmethod
    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x) or log p(x|y), `(B,)`, in nats."""


class LatentBound(ABC):
    """A latent-variable model with an approximate posterior q(z|x)."""

    @abstractmethod
    def log_weights(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        """log p(x, z) - log q(z|x) for `k` draws z ~ q(z|x), `(k, B)`, in nats.

        The mean over draws is the ELBO (Kingma & Welling 2014), the log-mean-exp the bound of Burda et al. (2016).
        """


class Conditional:
    """A model of p(x|y): `log_prob(x, y)`, `log_weights(x, k, y)` and `sample(n, y)` are those of the labels `y`, and
    without labels `sample` draws them uniformly.

    The harness measures log p(x|y), and log p(x) by summing over all labels with the training data's frequencies.
    """


class Decoder(ABC):
    """Turns codes with a known prior into data points, and where it can into distributions over them."""

    @abstractmethod
    def prior(self) -> Distribution:
        """p(z); its `sample((n,))` is `(n, d)` and its `log_prob(z)` is `(n,)`, in nats."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """The mean data point of each code, `(B, *shape)`."""

    def observation(self, z: Tensor) -> Observation | None:
        """p(x|z), or None where the model has none (a GAN): the harness then takes `decode(z)` with noise around it,
        whose scale it fits on validation data."""
        return None


class Posterior(ABC):
    """Has an approximate posterior over each level of its latent variables."""

    @abstractmethod
    def posterior(self, x: Tensor, y: Tensor | None = None) -> list[tuple[Normal, Normal]]:
        """For each level, that furthest from the data first, q and p of its variables, `(B, d)` each: q(z_l|x, z above)
        and p(z_l|z above), with the levels above drawn from q.

        The harness measures which variables are in use, and the divergence between the two.
        """

    def divergence(self, x: Tensor, y: Tensor | None = None) -> list[Tensor]:
        """For each level, in the same order, `(B, d)` in nats, whose expectation over draws is E_q[log q - log p] of
        each variable: what the ELBO subtracts from E_q[log p(x|z)].

        By default KL(q || p), in closed form. A model overrides it where levels are drawn from what is beneath them:
        given the levels above, their variables do not follow the q of `posterior`.
        """
        return [kl_divergence(q, p) for q, p in self.posterior(x, y)]


class Quantized(ABC):
    """Has a code of T symbols for each data point, which its encoder chooses out of a codebook of K.

    The harness measures how many of them are in use, and what the model is worth where all codes are equally probable.

    Attributes:
        codebook_size: K.
    """

    codebook_size: int

    @abstractmethod
    def codes(self, x: Tensor) -> Tensor:
        """The code of each data point, `(B, T)` int64 in 0 … K-1."""

    @abstractmethod
    def log_likelihood(self, x: Tensor, codes: Tensor) -> Tensor:
        """log p(x|code) for codes `(B, T)`, `(B,)`, in nats."""


class Unnormalized(ABC):
    """An energy-based model: a density known up to its normaliser, on a path from a base distribution.

    `beta` in [0, 1] goes along the path: 0 is the base, whose normaliser is known, 1 is the model.
    """

    @abstractmethod
    def log_unnormalized(self, x: Tensor, beta: float) -> Tensor:
        """log of the unnormalised density at `beta`, `(B,)`, in nats."""

    @abstractmethod
    def transition(self, x: Tensor, beta: float) -> Tensor:
        """One step of a Markov chain that leaves the density at `beta` invariant, and is reversible: chains are run
        along the path in both directions."""

    @abstractmethod
    def base_sample(self, n: int) -> Tensor:
        """`n` exact samples of the base distribution, `(n, *shape)`."""

    @abstractmethod
    def base_log_normalizer(self) -> Tensor:
        """log Z of `log_unnormalized` at beta = 0, a scalar, in nats."""


class Encoder(ABC):
    """Maps data points to codes."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Codes `(B, d)`, real."""


class Reconstructor(ABC):
    """Maps data points to their reconstructions through a code."""

    @abstractmethod
    def reconstruct(self, x: Tensor) -> Tensor:
        """Reconstructions `(B, *shape)`: the mean, not quantised."""

    def decode(self, z: Tensor) -> Tensor:
        """The reconstruction from a code: `(B, *shape)` for `(B, d)`. Optional, for a model that is an `Encoder` too;
        `reconstruct(x)` is then `decode(encode(x))`.

        Raises:
            NotImplementedError: the model has no such way.
        """
        raise NotImplementedError(f"{type(self).__name__} does not reconstruct from codes")


class Classifier(ABC):
    """Tells the class of data points, by labels that it was trained on."""

    @abstractmethod
    def class_log_probs(self, x: Tensor) -> Tensor:
        """log q(y|x) of every class y, `(B, num_classes)`, in nats; each row's probabilities sum to 1.

        The harness measures how often the most probable class is the wrong one.
        """


CAPABILITIES: tuple[type, ...] = (
    Sampler,
    Density,
    LatentBound,
    Conditional,
    Decoder,
    Posterior,
    Quantized,
    Unnormalized,
    Encoder,
    Reconstructor,
    Classifier,
)

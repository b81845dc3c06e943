"""The model contract: what a plugin author subclasses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genbench.data.batch import Batch
from genbench.data.spec import DataSpec
from genbench.errors import GenbenchError, UnsupportedData
from genbench.options import Options
from genbench.plain import kind_text


class ModelConfig(Options):
    """Base of every model's options."""


class Model(nn.Module, ABC):
    """An architecture with its training rule, built as `cls(data, config)`.

    The harness moves it to the device, calls `setup` once, then `update` until the budget is spent or `done` is set.
    Everything that sampling and scoring need must be in parameters and buffers: they are what a checkpoint holds.

    Attributes:
        batch_size: data points per `update`; None asks for the whole training split at once.
        done: set by `update` when there is nothing left to train (closed-form fits); stops the clock.
        kinds: the kinds of data that the model can be trained on.
    """

    Config: ClassVar[type[ModelConfig]] = ModelConfig
    batch_size: int | None = None
    done: bool = False
    kinds: ClassVar[tuple[str, ...]] = ("binary", "discrete", "continuous")

    def __init__(self, data: DataSpec, config: ModelConfig) -> None:
        super().__init__()
        self.data = data
        self.config = config

    @classmethod
    def check_data(cls, data: DataSpec) -> None:
        """Refuse data that the model can't be trained on; override to ask for more than a kind.

        Raises:
            UnsupportedData: the message says what the model needs.
        """
        if data.kind not in cls.kinds:
            raise UnsupportedData(f"needs {' or '.join(cls.kinds)} data, this is {data.kind}")

    def setup(self, batch: Batch) -> None:
        """Data-dependent initialisation from one training batch, on the device, before the clock starts."""

    @abstractmethod
    def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """One training step.

        Args:
            batch: `x` `(B, *data.shape)`, `y` `(B,)` or None.
            progress: the fraction of the budget that is spent, in [0, 1].

        Returns:
            Detached scalars for the progress display and the curve; `"loss"` is the one that is watched for NaN.
        """

    def finish(self, batch: Batch) -> None:
        """Fit what is fitted to the trained model, such as a density of its codes, to training data points.

        Called once after training, and before anything is measured on the curve, in evaluation mode, without gradients
        and off the clock. What it sets must be in buffers of sizes that are known beforehand.
        """

    def training_state(self) -> dict[str, Any] | None:
        """What training goes on from beside parameters and buffers: an optimiser's `state_dict()`, momenta, counters.

        Dicts, lists, tensors, numbers, strings and None, in any nesting. None (the default) says that training can't go
        on: a run whose process was killed is then started over. Whoever implements it implements `load_training_state`.
        """
        return None

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Take over what `training_state` returned, after `setup`, with parameters and buffers already restored."""
        raise NotImplementedError(f"{type(self).__name__} has a training_state, but can't load it")

    def validation_loss(self, batch: Batch) -> Tensor | None:
        """The training objective on held-out data, a scalar mean over the batch, by which the best weights are
        chosen; None (the default) where a model has none."""
        return None


class GradientConfig(ModelConfig):
    """Options of every model that is trained by one optimiser."""

    batch_size: int = Field(128, ge=1, description="data points per training step")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step size at its largest")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="how the step size goes over the budget: down to zero along a cosine, or not at all"
    )


class GradientModel(Model):
    """A model trained by descending `loss` with one Adam optimiser, its step size scheduled over the budget.

    `Config` must derive from `GradientConfig`.
    """

    Config: ClassVar[type[ModelConfig]] = GradientConfig
    config: GradientConfig

    def __init__(self, data: DataSpec, config: GradientConfig) -> None:
        super().__init__(data, config)
        self.batch_size = config.batch_size
        self._optimizer: torch.optim.Optimizer | None = None

    @abstractmethod
    def loss(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Scalars of which `"loss"`, a mean over the batch, is minimised; the others are shown beside it.

        Called with `progress=1.0`, in evaluation mode and without gradients, to score held-out data.
        """

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser, made at the first step, when the parameters are on the device."""
        return adam(self.parameters(), self.config.learning_rate)

    def annealing(self, progress: float) -> float:
        """The share of the step size that is left at this fraction of the budget; override where training has stages,
        each of which anneals on its own."""
        return cosine(progress) if self.config.schedule == "cosine" else 1.0

    def update(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Descend `loss` by one step.

        Raises:
            GenbenchError: `loss` returned something else than a dict with a tensor as `"loss"`.
        """
        if self._optimizer is None:
            self._optimizer = self.make_optimizer()
        if self.config.schedule == "cosine":
            set_learning_rate(self._optimizer, self.config.learning_rate * self.annealing(progress))
        self._optimizer.zero_grad(set_to_none=True)
        scalars = self._losses(batch, progress)
        scalars["loss"].backward()
        self._optimizer.step()
        return {name: value.detach() if isinstance(value, Tensor) else value for name, value in scalars.items()}

    def training_state(self) -> dict[str, Any]:
        return {"optimizer": None if self._optimizer is None else self._optimizer.state_dict()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        if state["optimizer"] is not None:
            self._optimizer = self.make_optimizer()
            self._optimizer.load_state_dict(state["optimizer"])

    def validation_loss(self, batch: Batch) -> Tensor | None:
        return self._losses(batch, 1.0)["loss"]

    def _losses(self, batch: Batch, progress: float) -> Mapping[str, Tensor]:
        scalars = self.loss(batch, progress)
        if not isinstance(scalars, Mapping) or "loss" not in scalars:
            found = 'a dict without "loss"' if isinstance(scalars, Mapping) else kind_text(scalars)
            raise GenbenchError(f'`loss` returned {found}; it must return a dict with "loss"')
        if not isinstance(scalars["loss"], Tensor):
            raise GenbenchError(f'`loss` returned {kind_text(scalars["loss"])} as "loss"; it must be a tensor')
        return scalars


def adam(
    parameters: Iterable[nn.Parameter], learning_rate: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Adam:
    """Fused Adam (Kingma & Ba 2015): the same arithmetic as the default, in one kernel."""
    return torch.optim.Adam(parameters, lr=learning_rate, betas=betas, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every parameter group this step size."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def cosine(progress: float) -> float:
    """A factor that goes from 1 at the start of the budget to 0 at its end, along half a cosine."""
    return 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))

"""How `update` computes, for every model alike: in which precision, and whether compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from genbench.model import GradientModel, Model
from genbench.plan.spec import Precision

#: The fractions of the budget that a compiled model is warmed up at: that progress is a number which changes is seen at
#: the second, and a CUDA graph is recorded after a few calls of the same code.
WARM_UP = (0.0, 0.1, 0.2, 0.3, 0.4)


@contextmanager
def arithmetic(device: torch.device, precision: Precision) -> Iterator[None]:
    """Compute in this precision; without it all is IEEE float32, also what convolutions on a GPU do."""
    if precision == "bf16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
    elif precision == "tf32":
        use_tf32(True)
        try:
            yield
        finally:
            use_tf32(False)
    else:
        yield


def use_tf32(use: bool) -> None:
    """Whether a GPU's tensor cores may round the factors of products and convolutions to 10 bits."""
    torch.set_float32_matmul_precision("high" if use else "highest")
    torch.backends.cudnn.allow_tf32 = use


def compiling(model: Model, device: torch.device, compiled: bool) -> AbstractContextManager[object]:
    """While it is entered, what costs time in `model.update` is compiled, if `compiled` says so."""
    return Compiled(model, device) if compiled else nullcontext()


class Compiled:
    """A model's loss, or each of its networks where it has no `GradientModel.loss`, in compiled form: as CUDA graphs on
    a GPU. In force while it is entered; whatever is measured in between uses the original.

    What compilation of one model has found holds for its copies, so that a copy can be warmed up in its place.
    """

    def __init__(self, model: Model, device: torch.device) -> None:
        parts: list[tuple[nn.Module, str]] = [(part, "forward") for part in model.children()]
        if isinstance(model, GradientModel):
            parts = [(model, "loss")]
        self._graphs = device.type == "cuda"
        mode = "reduce-overhead" if self._graphs else "default"
        self._parts = [(part, name, torch.compile(getattr(part, name), mode=mode)) for part, name in parts]

    def __enter__(self) -> None:
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()
        for part, name, function in self._parts:
            setattr(part, name, function)

    def __exit__(self, *_error: object) -> None:
        for part, name, _ in self._parts:
            delattr(part, name)

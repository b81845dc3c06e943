"""How `update` computes, for every model alike: in which precision, and whether compiled."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from genbench.model import GradientModel, Model
from genbench.plan.spec import Precision
from genbench.runner.clock import synchronize

#: The fractions of the budget that a compiled model is warmed up at: that progress is a number which changes is seen at
#: the second.
WARM_UP = (0.0, 0.4)
#: Fractions between those. A schedule that has a bend has been compiled for both sides of it, so a step that has to be
#: compiled anew for each of these is compiled anew for every progress.
TRIAL = (0.1, 0.2, 0.3)


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
    """Let a GPU's tensor cores round the factors of products and convolutions to 10 bits, or forbid it."""
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


def warm_up(compilation: Compiled, device: torch.device, step: Callable[[float], object]) -> str | None:
    """Take steps until nothing is left to compile.

    Args:
        compilation: of the model that steps.
        device: the model's.
        step: takes one step at a progress; has done so uncompiled.

    Returns:
        why the model is better trained uncompiled, or None: its step can't be compiled, is compiled anew for every
        progress, or is slower than it was.
    """

    def compiled_step(progress: float) -> None:
        with compilation:
            step(progress)

    try:
        for progress in WARM_UP:
            compiled_step(progress)
        new = [progress for progress in TRIAL if _recompiles(compiled_step, progress)]
        if len(new) == len(TRIAL):
            return "it would be compiled anew at every step"
        for progress in (*new, *TRIAL):  # a CUDA graph is recorded after a few calls of the same code
            compiled_step(progress)
        fastest, slowest = min(_seconds(compiled_step, device)), max(_seconds(step, device))
    except Exception as error:  # whatever the compiler, or the compiler's compiler, raises
        traceback.print_exc()
        return f"it can't be compiled: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if fastest > slowest:
        return f"compiled, a step takes {fastest:.2g} s at least in place of {slowest:.2g} s at most"
    return None


def _recompiles(step: Callable[[float], object], progress: float) -> bool:
    """Try a step at this progress, and return true if it was broken off because it would have been compiled for it."""
    with torch.compiler.set_stance("fail_on_recompile"):
        try:
            step(progress)
        except RuntimeError as error:
            if "fail_on_recompile" not in str(error):
                raise
            return True
    return False


def _seconds(step: Callable[[float], object], device: torch.device) -> list[float]:
    """How long the steps of the trial take."""
    found = []
    for progress in TRIAL:
        synchronize(device)
        start = time.perf_counter()
        step(progress)
        synchronize(device)
        found.append(time.perf_counter() - start)
    return found

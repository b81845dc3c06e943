"""The weights that a run leaves, and the trained model rebuilt from them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from genbench.contained import contained
from genbench.errors import GenbenchError
from genbench.files import open_tensors
from genbench.metrics.base import Subject
from genbench.model import Model
from genbench.plain import error_text, kind_text
from genbench.plan.environment import resolve_device
from genbench.plugins.catalogue import import_target
from genbench.plugins.local import import_file
from genbench.results.store import write_atomically
from genbench.runner.subject import load_dataset, make_subject
from genbench.runner.trained import Trained

#: Differences between a checkpoint and a model that an error lists, at most.
LISTED = 3


def save_weights(model: Model, path: Path) -> None:
    """Write the model's parameters and persistent buffers, each as a contiguous copy of its own, in one atomic step.

    Raises:
        GenbenchError: the file can't hold them; the message names the first that it can't hold.
        OSError: the file can't be written.
        Exception: whatever the model's `state_dict` raises.
    """
    state = model.state_dict()
    try:
        content = save({name: _copy(value) for name, value in state.items()})
    except Exception as error:
        raise GenbenchError(_culprit(state) or error_text(error)) from error
    write_atomically(path, content)


def _copy(value: Tensor) -> Tensor:
    return value.detach().to("cpu", copy=True).contiguous().resolve_conj().resolve_neg()


def _culprit(state: Mapping[str, Any]) -> str | None:
    """The first entry that can't be saved even by itself, with the reason."""
    for name, value in state.items():
        if not isinstance(value, Tensor):
            return f"{name} is {kind_text(value)}, not a tensor"
        try:
            save({name: _copy(value)})
        except Exception as error:
            kind = f"{value.layout} {value.dtype}".replace("torch.", "").removeprefix("strided ")
            return f"the {kind} tensor {name} can't be saved: {error_text(error)}"
    return None


@contained()  # a model may change the working folder, and paths may be relative
def restore(trained: Trained) -> Subject:
    """The trained model, in evaluation mode, with its data, on a GPU where there is one.

    Raises:
        GenbenchError: the model or the dataset can't be had, or the checkpoint is none of this model.
    """
    for path in trained.files:
        import_file(path)
    spec = trained.record.spec
    device = torch.device(resolve_device("auto"))
    cls = import_target(trained.target, Model)
    dataset = load_dataset(spec.data, trained.dataset_target, spec.dataset_config, spec.view)
    try:
        config = cls.Config.model_validate(spec.config)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = ".".join(str(part) for part in first["loc"])
        raise GenbenchError(
            f"model '{spec.model}' has changed since this run: option {option}: {first['msg']}"
        ) from None
    model = cls(dataset.spec, config)
    load_weights(model, trained.checkpoint)
    model.to(device).eval()
    subject = make_subject(dataset, device, spec.seed, trained.folder)
    subject.model = model
    return subject


def load_weights(model: Model, path: Path) -> None:
    """Put the checkpoint's parameters and buffers into the model.

    Raises:
        GenbenchError: they are another model's, and the message names what differs; or the file is broken.
    """
    try:
        with open_tensors(path) as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (OSError, SafetensorError) as error:
        raise GenbenchError(f"{path} is no readable checkpoint: {error}") from None
    state = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    differences = [
        f"{name} is {tuple(tensor.shape)}, the model's is {tuple(state[name].shape)}"
        for name, tensor in found.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if not differences:
        # a file of old has only one of several tensors that share memory
        memory = {name: tensor.untyped_storage().data_ptr() for name, tensor in state.items()}
        written = {memory[name] for name in found if name in state}
        differences = [f"{name} is missing" for name in state if name not in found and memory[name] not in written]
        differences += [f"{name} is unknown to the model" for name in found if name not in state]
    if differences:
        more = f"; and {len(differences) - LISTED} more" if len(differences) > LISTED else ""
        listed = "; ".join(differences[:LISTED])
        raise GenbenchError(f"{path} does not fit the model {type(model).__name__}: {listed}{more}")
    take_over(model, found)


def take_over(model: Model, state: Mapping[str, Any]) -> None:
    """Give the model what its `state_dict` had, or as much of it as there is.

    Tensors are written into those of the model; where memory that several share can't hold all of their values, they
    get memory of their own.
    """
    with contextlib.suppress(RuntimeError):  # an expanded tensor can't be written to
        model.load_state_dict(state, strict=False)
    now = model.state_dict()
    other = {name: value.to(now[name].dtype) for name, value in state.items() if _differ(now[name], value)}
    if other:
        model.load_state_dict(other, strict=False, assign=True)


def _differ(one: Any, other: Any) -> bool:
    try:
        return not torch.equal(one.cpu(), other.to("cpu", one.dtype))
    except Exception:  # no tensors, or of a kind that can't be compared, nor shared
        return False

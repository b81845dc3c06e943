"""What training goes on from when its process was killed: one safetensors file, written whole and never unpickled.

Tensors are the file's tensors; all else is JSON in its metadata, beside a digest of the tensors and the identity of the
run that it belongs to.
"""

from __future__ import annotations

import hashlib
import random
from json import dumps, loads  # a model may replace the module's
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.files import open_tensors
from genbench.results.store import write_atomically

#: Of what the training loop and the worker put into a state; raised when that changes.
VERSION = "2"


def save_state(path: Path, state: dict[str, Any], identity: str) -> None:
    """Write dicts, lists, tensors, numbers, strings and None, in any nesting.

    Args:
        path: the file, which is replaced as a whole.
        state: what to save.
        identity: of the run; another one's state is not loaded.

    Raises:
        TypeError: the state has something else in it.
        OSError: the file can't be written.
    """
    tensors: dict[str, Tensor] = {}
    structure = dumps(_pack(state, tensors))
    head = {"structure": structure, "identity": identity, "version": VERSION, "digest": _digest(structure, tensors)}
    write_atomically(path, save(tensors, head))


def load_state(path: Path, identity: str) -> dict[str, Any]:
    """What `save_state` wrote, with its tensors on the CPU.

    Raises:
        GenbenchError: the file is unreadable, damaged, or of another run or version.
    """
    try:
        with open_tensors(path) as file:
            head = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (OSError, SafetensorError) as error:
        raise GenbenchError(f"{path} is unreadable: {error}") from None
    if not {"structure", "identity", "digest"} <= head.keys():
        raise GenbenchError(f"{path} was not written by genbench")
    if head["digest"] != _digest(head["structure"], tensors):
        raise GenbenchError(f"{path} is damaged: its content does not have its digest")
    if head["identity"] != identity:
        raise GenbenchError(f"{path} is of another run")
    if head.get("version") != VERSION:
        raise GenbenchError(f"{path} is of another version of genbench")
    state = _unpack(loads(head["structure"]), tensors)
    assert isinstance(state, dict)  # as `save_state` takes nothing else
    return state


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every generator that a model may draw from without being given one."""
    own: Any = np.random.get_state()  # the global generator is meant
    name, keys, position, has_gauss, cached = own
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": [name, keys.tolist(), position, has_gauss, cached],
        "python": [version, list(numbers), gauss],
    }


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put every generator back to where `random_state` found it."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))  # as above
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON, with its tensors moved to `tensors`."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # a copy of its own: safetensors refuses tensors that share memory, as tied weights do
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_pack(key, tensors), _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list" if isinstance(value, list) else "tuple": [_pack(item, tensors) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a training state can't hold a {type(value).__name__}")


def _unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(packed, dict):
        return packed
    (kind, content), *_ = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_unpack(key, tensors): _unpack(item, tensors) for key, item in content}
    items = [_unpack(item, tensors) for item in content]
    return items if kind == "list" else tuple(items)


def _digest(structure: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(structure.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

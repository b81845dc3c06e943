"""A trained model rebuilt from what its run left."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model

from genbench.errors import GenbenchError
from genbench.files import open_plain
from genbench.metrics.base import Subject
from genbench.model import Model
from genbench.plan.environment import resolve_device
from genbench.plugins.catalogue import import_target
from genbench.plugins.local import import_file
from genbench.runner.subject import load_dataset, make_subject
from genbench.runner.trained import Trained

#: Differences between a checkpoint and a model that an error lists, at most.
LISTED = 3


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
    dataset = load_dataset(trained.dataset_target, spec.dataset_config, spec.view)
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
        open_plain(path).close()  # safetensors would wait at a pipe
        with safe_open(path, "pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (OSError, SafetensorError) as error:
        raise GenbenchError(f"{path} is no readable checkpoint: {error}") from None
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    differences = [
        f"{name} is {shape}, the model's is {wanted[name]}"
        for name, shape in found.items()
        if wanted.get(name, shape) != shape
    ]
    if not differences:
        missing, unexpected = load_model(model, str(path), strict=False)
        differences = [f"{name} is missing" for name in sorted(missing)]
        differences += [f"{name} is unknown to the model" for name in sorted(unexpected)]
    if differences:
        more = f"; and {len(differences) - LISTED} more" if len(differences) > LISTED else ""
        listed = "; ".join(differences[:LISTED])
        raise GenbenchError(f"{path} does not fit the model {type(model).__name__}: {listed}{more}")

"""What commands do with a trained model, each in a worker process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from genbench.contained import contained
from genbench.errors import GenbenchError, UsageError
from genbench.metrics.base import Subject, checked, in_chunks, seeded
from genbench.metrics.coding import CHUNK, reconstruct
from genbench.model import Conditional, Reconstructor, Sampler
from genbench.results.store import RECORD, record_text, write_atomically
from genbench.runner.checkpoint import restore
from genbench.runner.draft import ARTIFACTS
from genbench.runner.gallery import save_gallery
from genbench.runner.images import read_images
from genbench.runner.pictures import above, picture_of
from genbench.runner.trained import Trained

#: Samples of which it is seen whether they follow labels.
TRIED = 8


def gallery(trained: Trained, to: Path | None) -> tuple[list[Path], dict[str, str]]:
    """Save all pictures that there are of a model in the folder `to`; without one in the run's own, whose record then
    lists them: their paths, and why others could not be made, by name.

    Raises:
        GenbenchError: the model can't be restored, or the folder can't be written.
    """
    folder = to or trained.folder
    _make_folder(folder)
    saved, failed = save_gallery(restore(trained), folder)
    if to is None:
        names = {path.name for path in saved}
        artifacts = trained.record.artifacts | {what: name for what, name in ARTIFACTS.items() if name in names}
        record = trained.record.model_copy(update={"artifacts": artifacts})
        write_atomically(folder / RECORD, record_text(record))
    return saved, failed


def sample(trained: Trained, n: int, label: int | None, seed: int, to: Path) -> None:
    """Save `n` samples, of class `label` where one is given, as one picture.

    Raises:
        UsageError: the model draws no samples, or none of a label; or there is no such label.
        GenbenchError: the model can't be restored, samples of its data can't be shown, or the file can't be written.
    """
    subject = restore(trained)
    model, device = subject.model, subject.device
    if not isinstance(model, Sampler):
        raise UsageError(f"{trained.record.spec.label} draws no samples")
    if label is not None:
        _check_label(subject, label)

    def draw(y: Tensor) -> Tensor:
        drawn = model.sample(len(y), None if label is None else y)
        return checked(model, "sample", drawn, (len(y), *subject.data.shape))

    with seeded(seed, device), torch.no_grad(), contained():
        x = in_chunks(draw, torch.full((n,), label or 0, device=device), CHUNK)
    picture = picture_of(x)
    if picture is None:
        raise GenbenchError(f"samples of shape {subject.data.shape} can't be shown as a picture")
    _save(picture, to)


def reconstructions(trained: Trained, images: Sequence[Path], to: Path) -> list[str]:
    """Save a picture of image files, as the model sees them, above what it makes of them; what was done to each file.

    Raises:
        UsageError: the model reconstructs nothing.
        GenbenchError: the model can't be restored, an image can't be read, or the file can't be written.
    """
    subject = restore(trained)
    if not isinstance(subject.model, Reconstructor):
        raise UsageError(f"{trained.record.spec.label} does not reconstruct")
    x, steps = read_images(images, subject.data)
    with seeded(trained.record.spec.seed, subject.device), torch.no_grad(), contained():
        restored = reconstruct(subject.model, x.to(subject.device))
    _save(above(x, restored.cpu()), to)
    return steps


def _check_label(subject: Subject, label: int) -> None:
    """Refuse a label that there is none of, or that makes no difference to the model's samples.

    Raises:
        UsageError: the message names the range.
    """
    classes = subject.data.num_classes
    if classes is None:
        raise UsageError("the data has no labels: leave --label out")
    if label >= classes:
        raise UsageError(f"there is no label {label}: they are 0 … {classes - 1}")
    if not isinstance(subject.model, Conditional) and not _follows_labels(subject, classes):
        raise UsageError(f"{type(subject.model).__name__} does not sample by label: leave --label out")


@contained()
def _follows_labels(subject: Subject, classes: int) -> bool:
    """Whether other labels make other samples of the same random numbers."""
    drawn = []
    for label in (0, classes - 1):
        with seeded(0, subject.device), torch.no_grad():
            drawn.append(subject.model.sample(TRIED, torch.full((TRIED,), label, device=subject.device)))
    return not torch.equal(*drawn)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GenbenchError(f"can't write to {folder}: {error.strerror or error}") from None


def _save(picture: Image.Image, path: Path) -> None:
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise GenbenchError(f"can't write {path}: {getattr(error, 'strerror', None) or error}") from None

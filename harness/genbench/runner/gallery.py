"""The pictures that a run leaves, each where the model has what it takes and the data can be shown."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.distributions import Distribution

from genbench.contained import contained
from genbench.data import Dataset
from genbench.data.device import DeviceSplit
from genbench.metrics.arithmetic import attributes_of
from genbench.metrics.base import NotApplicable, Subject, choose, seeded
from genbench.metrics.coding import decode, encode, reconstruct
from genbench.metrics.denoising import Denoising, peak_of
from genbench.model import Decoder, Encoder, Reconstructor, Sampler
from genbench.plain import error_text
from genbench.results.store import write_atomically
from genbench.runner.log import say_traceback
from genbench.runner.overstayed import Overstayed
from genbench.runner.pictures import above, can_be_shown, mosaic, picture_of, sheet, to_bytes
from genbench.runner.walks import along, quantile_grid, spherical, straight

#: Samples that are shown, as images or as points in the plane, and originals above their reconstructions.
SAMPLES, POINTS, RECONSTRUCTIONS = 64, 10_000, 32
#: Side of the manifold's grid.
SIDE = 20
#: Pairs of images that are interpolated, and the steps from one to the other.
PAIRS, STEPS = 5, 10
#: Code dimensions that are traversed, and how far, in standard deviations.
DIMENSIONS, DEVIATIONS = 10, (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
#: Images whose attributes are changed, at most, and how many times the mean difference is added.
CHANGED, STRENGTHS = 12, (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
#: Test images that are compared with those of other models.
COMPARED = 10
#: Points that statistics of codes are taken over, at most.
CODES = 5000


def save_gallery(subject: Subject, folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Save all pictures that there are of a model: their paths, and why others could not be made, by name.

    One that fails leaves none of itself and stops none of the others; its traceback goes to standard error. A link of a
    picture's name is replaced, not followed: the folder may be anybody's.
    """
    saved, failed = [], {}
    for name, save in SAVERS.items():
        path = folder / name
        try:
            with seeded(subject.seed, subject.device), torch.no_grad(), contained():
                found = save(subject)
            if found is not None:
                write_atomically(path, _content(found))
        except NotApplicable:
            continue
        except Overstayed:
            raise
        except BaseException as error:  # a model's code, which may end neither the run nor the other pictures
            say_traceback(error)
            failed[name] = error_text(error)
            continue
        if found is not None:
            saved.append(path)
    return saved, failed


def _content(made: Image.Image | dict[str, Any]) -> bytes:
    """The file of a picture or of arrays."""
    buffer = io.BytesIO()
    if isinstance(made, Image.Image):
        made.save(buffer, "png")
    else:
        np.savez_compressed(buffer, **made)
    return buffer.getvalue()


def decodes(model: Any) -> bool:
    """Whether there is a way from data to codes and back."""
    way_back = getattr(type(model), "decode", Reconstructor.decode)
    return isinstance(model, Encoder) and way_back is not Reconstructor.decode


def varied(split: DeviceSplit, n: int) -> Tensor:
    """Positions of `n` data points, or all, of a split: one of each class in turn where there are classes. The same in
    every run."""
    order = choose(split)
    y = split.y()
    if y is not None:
        seen: Counter[int] = Counter()
        turn = []
        for label in y[order].tolist():
            turn.append((seen[label], label))
            seen[label] += 1
        order = order[sorted(range(len(order)), key=turn.__getitem__)]
    return order[:n]


def _samples(subject: Subject) -> Image.Image | None:
    if not isinstance(subject.model, Sampler):
        return None
    return picture_of(subject.model.sample(SAMPLES if subject.data.is_image else POINTS))


def _reconstructions(subject: Subject) -> Image.Image | None:
    if not (isinstance(subject.model, Reconstructor) and can_be_shown(subject.data.shape)):
        return None
    x = subject.test.x(RECONSTRUCTIONS)
    return above(x, subject.model.reconstruct(x))


def _rows(subject: Subject) -> dict[str, Any] | None:
    """Some test images `x`, the same in every run, `reconstructed`, with noise (`noisy`), and that `restored`: uint8,
    `(N, C, H, W)` each."""
    model = subject.model
    if not (isinstance(model, Reconstructor) and can_be_shown(subject.data.shape)):
        return None
    x = subject.test.batch(varied(subject.test, COMPARED)).x
    corrupted, _ = Denoising(Denoising.Config()).noisy(x, subject.data, peak_of(subject))
    images = {
        "x": x,
        "reconstructed": reconstruct(model, x),
        "noisy": corrupted,
        "restored": reconstruct(model, corrupted),
    }
    return {name: to_bytes(image) for name, image in images.items()}


def _manifold(subject: Subject) -> Image.Image | None:
    """Two-dimensional codes decoded at the quantiles of their prior, or of the Gaussian of its mean and spread."""
    if not (isinstance(subject.model, Decoder) and can_be_shown(subject.data.shape)):
        return None
    mean, std = _moments(subject.model.prior())
    if mean.shape != (2,):
        return None
    return mosaic(subject.model.decode(quantile_grid(mean, std, SIDE)), SIDE)


def _interpolation(subject: Subject) -> Image.Image | None:
    """Between two test images, of different classes where there are classes: both of them outside, and between them
    what is decoded on the way, straight in the row above and around the mean code in the row below."""
    if not (decodes(subject.model) and can_be_shown(subject.data.shape)):
        return None
    x = subject.test.batch(varied(subject.test, 2 * PAIRS)).x
    codes = _codes(subject, x)
    centre = _test_codes(subject).mean(0)
    rows, labels = [], []
    for i in range(0, len(x) - 1, 2):
        ways = {
            "linear": straight(codes[i], codes[i + 1], STEPS),
            "spherical": spherical(codes[i], codes[i + 1], STEPS, centre),
        }
        for name, way in ways.items():
            rows.append(torch.cat([x[i : i + 1], _decode(subject, way, x), x[i + 1 : i + 2]]))
            labels.append(name)
    return sheet(rows, labels, apart=(1, STEPS + 1), group=2) if rows else None


def _traversal(subject: Subject) -> Image.Image | None:
    """A test image, and what becomes of it when one dimension of its code takes other values: the mean over test codes
    and up to two standard deviations on either side. The dimensions that vary most, one a row."""
    if not (decodes(subject.model) and can_be_shown(subject.data.shape)):
        return None
    x = subject.test.batch(varied(subject.test, 1)).x
    (code,) = _codes(subject, x)
    known = _test_codes(subject)
    mean, std = known.mean(0), known.std(0)
    deviations = std.new_tensor(DEVIATIONS)
    rows, labels = [], []
    for dimension in std.argsort(descending=True, stable=True)[:DIMENSIONS].tolist():
        values = mean[dimension] + deviations * std[dimension]
        rows.append(torch.cat([x, _decode(subject, along(code, dimension, values), x)]))
        labels.append(f"z{dimension + 1}, sd {std[dimension]:.2g}")
    return sheet(rows, labels, ["original", *map(_signed, DEVIATIONS)], apart=(1,))


def _arithmetic(subject: Subject) -> Image.Image | None:
    """Test images, their reconstructions, and what is decoded when more and more of the mean difference between the
    training codes of two classes, or of low and high values of a factor, is added to their codes."""
    if not (decodes(subject.model) and can_be_shown(subject.data.shape)):
        return None
    index = choose(subject.train, CODES)
    train = subject.train.batch(index).x
    known = _codes(subject, train)
    strengths = known.new_tensor(STRENGTHS)[:, None]
    rows, labels = [], []
    for change in _changes(subject.dataset, index.cpu().numpy(), choose(subject.test).cpu().numpy()):
        difference = known[change.after].mean(0) - known[change.before].mean(0)
        x = subject.test.batch(torch.tensor([change.position], device=subject.device)).x
        (code,) = _codes(subject, x)
        rows.append(torch.cat([x, _decode(subject, code + strengths * difference, x)]))
        labels.append(change.label)
    return sheet(rows, labels, ["original", *map(_signed, STRENGTHS)], apart=(1,)) if rows else None


def _changes(dataset: Dataset, index: np.ndarray, order: np.ndarray) -> list[_Change]:
    """What the metric `arithmetic` moves, with test images to move, as many of each.

    Args:
        dataset: the data.
        index: training points whose codes are known.
        order: test points in the order in which they are taken.
    """
    train, test = dataset.train.at(index), dataset.test.at(order)
    moves = []
    for attribute in attributes_of(dataset):
        known, new = attribute.of(train), attribute.of(test)
        name = "" if attribute.column is None else f"{attribute.name} "
        for source, target in enumerate(attribute.target):
            if target is not None:
                label = f"{name}{attribute.groups[source]} to {attribute.groups[target]}"
                before, after = np.flatnonzero(known == source), np.flatnonzero(known == target)
                moves.append((label, before, after, order[new == source]))
    each = max(1, CHANGED // len(moves))
    usable = [move for move in moves if all(map(len, move[1:]))]
    return [_Change(*move[:3], position) for move in usable for position in move[3][:each].tolist()][:CHANGED]


@dataclass(frozen=True)
class _Change:
    """An attribute's change: training points before and after it, and a test image to be changed."""

    label: str
    before: np.ndarray
    after: np.ndarray
    position: int


def _signed(number: float) -> str:
    return f"{number:+g}" if number else "0"


def _codes(subject: Subject, x: Tensor) -> Tensor:
    """Codes `(n, d)` float64, on the CPU."""
    return torch.from_numpy(encode(subject.model, x))


def _test_codes(subject: Subject) -> Tensor:
    return _codes(subject, subject.test.batch(choose(subject.test, CODES)).x)


def _decode(subject: Subject, codes: Tensor, like: Tensor) -> Tensor:
    return decode(subject.model, codes.numpy(), like)


def _moments(prior: Distribution) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension of a code, `(d,)` each: of samples where they aren't known."""
    try:
        return prior.mean, prior.stddev
    except NotImplementedError:
        z = prior.sample((POINTS,))
        return z.mean(0), z.std(0)


#: What makes each artifact: a picture, arrays, or None where there is nothing to show.
SAVERS: dict[str, Callable[[Subject], Image.Image | dict[str, Any] | None]] = {
    "samples.png": _samples,
    "reconstructions.png": _reconstructions,
    "rows.npz": _rows,
    "manifold.png": _manifold,
    "interpolation.png": _interpolation,
    "traversal.png": _traversal,
    "arithmetic.png": _arithmetic,
}

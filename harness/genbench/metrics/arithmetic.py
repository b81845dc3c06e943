"""Do differences of codes mean something: is what is added to a code seen in what it decodes to, and nothing else?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from genbench.data import Dataset, DataSpec, Split
from genbench.metrics.base import PROTOCOL_SEED, Measurement, Metric, NotApplicable, Subject, choose, in_chunks, seeded
from genbench.metrics.coding import decode, encode
from genbench.metrics.resampling import bootstrap, wilson
from genbench.model import ConvEncoder, Encoder, Reconstructor, adam, cosine, mlp, set_learning_rate, snap
from genbench.options import Options

#: Groups that the values of a factor with an order are put in.
THIRDS = ("low", "middle", "high")
#: An attribute is left out if the classifier is not at least this far from chance (0) to never wrong (1).
LEAST_SKILL = 0.5
#: The classifier's training: data points per step, Adam's step size, steps.
BATCH, LEARNING_RATE, STEPS = 64, 3e-3, 600
#: Channels of its first convolution; an eighth of the units of its hidden layers.
WIDTH = 16


class Arithmetic(Metric):
    """Attribute arithmetic: the mean difference of training codes between two values of an attribute is added to codes
    of test points with the one value, and a classifier says whether what they decode to has the other (after Radford,
    Metz & Chintala 2016, section 6.3.2, and Larsen et al. 2016, section 4.2).

    - `attribute_flip`: the share of test points that the classifier gives the other value, and
    - `attribute_keep`: the share of the other attributes, averaged over test points, of which it says the same as of
      the plain reconstruction; not given where there is one attribute only.

    Attributes are the factors that made the data where they are known, else the class. Categories are moved to the
    next one, the last to the first. Values of factors with an order are put in thirds, of which the lowest moves to the
    highest and the other way round. Each test point is moved in one attribute only, which makes all of them independent
    trials: the interval is Wilson's for the one share and the bootstrap's for the other.

    The classifier is a small network, trained on training data and the same for all models. It sees reconstructions on
    the data's grid, so binary ones in black and white. Its accuracies on test points are in the settings
    (`classifier_accuracy`); attributes that it is less than half as good at as can be are left out, with a flag. The
    settings also hold how many plain reconstructions it gives the other value (`flip_before`), which is what a model
    gets for doing nothing, and the right one (`recognised`). Neither number means much alone: a decoder that ignores
    its code keeps everything.
    """

    class Config(Options):
        """Options of `arithmetic`."""

        n_train: int = Field(5000, ge=2, description="training points for mean codes and the classifier, at most")
        n_test: int = Field(2000, ge=2, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Encoder,)
    names: ClassVar[tuple[str, ...]] = ("attribute_flip", "attribute_keep")
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        model = subject.model
        if getattr(type(model), "decode", Reconstructor.decode) is Reconstructor.decode:
            raise NotApplicable("the model has no way back from a code (`decode`)")
        index, test_index = choose(subject.train, self.config.n_train), choose(subject.test, self.config.n_test)
        rows, test_rows = index.cpu().numpy(), test_index.cpu().numpy()
        attributes = attributes_of(subject.dataset)
        known, truth = (
            np.stack([attribute.of(split.at(at)) for attribute in attributes], 1)
            for split, at in ((subject.dataset.train, rows), (subject.dataset.test, test_rows))
        )
        with seeded(PROTOCOL_SEED, subject.device):  # also the pixels that are drawn anew: the same for all models
            train, test = subject.train.batch(index).x, subject.test.batch(test_index).x
            sizes = [len(attribute.groups) for attribute in attributes]
            classifier = Classifier.trained(subject.data, train, known, sizes)
        subject.progress(0.5)

        accuracy = (classifier(test) == truth).mean(0)
        seen = np.flatnonzero(_skill(accuracy, truth) >= LEAST_SKILL)
        if not len(seen):
            raise NotApplicable("the classifier recognises no attribute of the data")
        codes, test_codes = encode(model, train), encode(model, test)
        trials = Trials.of(attributes, seen, codes, known, truth)
        if len(trials.point) < 2:
            raise NotApplicable("needs at least two test points of values that are moved")
        start = test_codes[trials.point]
        before = classifier(_on_grid(subject.data, decode(model, start, test)))
        after = classifier(_on_grid(subject.data, decode(model, start + trials.shift, test)))

        moved = np.arange(len(start)), trials.attribute
        names = [attribute.name for attribute in attributes]
        settings: dict[str, Any] = {
            "n_train": len(train),
            "n": len(start),
            "pairs": trials.pairs,
            "classifier_accuracy": dict(zip(names, accuracy.tolist(), strict=True)),
            "flip_before": float((before[moved] == trials.target).mean()),
            "recognised": float((before[moved] == truth[trials.point, trials.attribute]).mean()),
        }
        unseen = [name for index, name in enumerate(names) if index not in seen]
        flags = (f"attributes left out, as the classifier hardly knows them: {', '.join(unseen)}",) if unseen else ()
        found = [_flip(after[moved] == trials.target, settings, flags)]
        if len(seen) > 1:
            same = (before == after).astype(float)
            others = (same[:, seen].sum(1) - same[moved]) / (len(seen) - 1)
            found.append(_keep(others, settings, flags))
        return found


@dataclass(frozen=True)
class Attribute:
    """What can be changed about data points: the class, or a factor that made them.

    Attributes:
        name: `"class"`, or the factor's.
        column: of the factors; None for the class.
        values: those that occur, sorted.
        group: of each of the values; a factor with an order has at most three.
        groups: what the groups are called.
        target: which group each group is moved to, None where it stays.
    """

    name: str
    column: int | None
    values: np.ndarray
    group: np.ndarray
    groups: tuple[str, ...]
    target: tuple[int | None, ...]

    @classmethod
    def categorical(cls, name: str, column: int | None, values: np.ndarray) -> Attribute:
        """Every value is a group, and is moved to the next."""
        count = len(values)
        return cls(
            name,
            column,
            values,
            np.arange(count),
            tuple(str(value) for value in values),
            tuple((index + 1) % count for index in range(count)),
        )

    @classmethod
    def ordered(cls, name: str, column: int, values: np.ndarray) -> Attribute:
        """Thirds of the values, or the two that there are; the ends are moved to each other."""
        count = min(len(THIRDS), len(values))
        group = np.arange(len(values)) * count // len(values)
        groups = THIRDS if count == len(THIRDS) else (THIRDS[0], THIRDS[-1])
        return cls(name, column, values, group, groups, (count - 1, *[None] * (count - 2), 0))

    def of(self, split: Split) -> np.ndarray:
        """The group of each data point, `(N,)`."""
        return self.group[np.searchsorted(self.values, _column(split, self.column))]


@dataclass(frozen=True)
class Trials:
    """What is moved: `m` test points, each in one attribute.

    Attributes:
        point: positions among the test points, `(m,)`.
        attribute: that is moved, `(m,)`.
        target: the group that it is moved to, `(m,)`.
        shift: what is added to the code, `(m, d)`.
        pairs: `"shape: 0 to 1"`, …
    """

    point: np.ndarray
    attribute: np.ndarray
    target: np.ndarray
    shift: np.ndarray
    pairs: list[str]

    @classmethod
    def of(
        cls, attributes: list[Attribute], seen: np.ndarray, codes: np.ndarray, known: np.ndarray, truth: np.ndarray
    ) -> Trials:
        """The attributes that are `seen` take turns.

        Args:
            attributes: all there are, `A`.
            seen: which of them are used.
            codes: of training points, `(n, d)`.
            known: their groups, `(n, A)`.
            truth: the test points' groups, `(N, A)`.
        """
        turn = seen[np.arange(len(truth)) % len(seen)]
        target, shift, pairs = np.full(len(truth), -1), np.zeros((len(truth), codes.shape[1])), []
        for index in seen:
            attribute = attributes[index]
            for source, aim in enumerate(attribute.target):
                of_source, of_aim = known[:, index] == source, known[:, index] == aim
                here = (turn == index) & (truth[:, index] == source)
                if aim is not None and of_source.any() and of_aim.any() and here.any():
                    target[here] = aim
                    shift[here] = codes[of_aim].mean(0) - codes[of_source].mean(0)
                    pairs.append(f"{attribute.name}: {attribute.groups[source]} to {attribute.groups[aim]}")
        point = np.flatnonzero(target >= 0)
        return cls(point, turn[point], target[point], shift[point], pairs)


class Classifier:
    """A small network that says which group of every attribute data points are in: `(n, *shape)` to `(n, A)`."""

    def __init__(self, data: DataSpec, x: Tensor, sizes: list[int]) -> None:
        self.sizes = sizes
        self.mean, self.scale = x.mean(), x.std().clamp(min=1e-6)
        hidden = 8 * WIDTH
        self.network = (
            ConvEncoder(data, WIDTH, sum(sizes)) if data.is_image else mlp((data.dims, hidden, hidden, sum(sizes)))
        ).to(x.device)

    @classmethod
    def trained(cls, data: DataSpec, x: Tensor, groups: np.ndarray, sizes: list[int]) -> Classifier:
        """On data points `(n, *shape)` of known `groups` `(n, A)`, of which there are `sizes` `(A,)`."""
        classifier = cls(data, x, sizes)
        optimizer = adam(classifier.network.parameters(), LEARNING_RATE)
        y = torch.from_numpy(groups).to(x.device)
        with torch.enable_grad():
            for step in range(STEPS):
                batch = torch.randint(len(x), (BATCH,)).to(x.device)
                logits = classifier.logits(x[batch])
                losses = [F.cross_entropy(part, of) for part, of in zip(logits, y[batch].T, strict=True)]
                set_learning_rate(optimizer, LEARNING_RATE * cosine(step / STEPS))
                optimizer.zero_grad(set_to_none=True)
                torch.stack(losses).sum().backward()
                optimizer.step()
        return classifier

    def logits(self, x: Tensor) -> tuple[Tensor, ...]:
        """Of every attribute, `(n, groups)` each."""
        return self.network((x - self.mean) / self.scale).split(self.sizes, dim=1)

    def __call__(self, x: Tensor) -> np.ndarray:
        return in_chunks(lambda part: torch.stack([each.argmax(1) for each in self.logits(part)], 1), x).cpu().numpy()


def attributes_of(data: Dataset) -> list[Attribute]:
    """Those of which there are at least two groups.

    Raises:
        NotApplicable: there are none.
    """
    columns: list[tuple[str, int | None]] = [(name, index) for index, name in enumerate(data.factor_names)]
    if not columns and data.spec.num_classes is not None:
        columns = [("class", None)]
    found = []
    for name, column in columns:
        values = np.unique(np.concatenate([_column(split, column) for split in (data.train, data.test)]))
        if len(values) < 2:
            continue
        if column is None or name in data.categorical_factors:
            found.append(Attribute.categorical(name, column, values))
        else:
            found.append(Attribute.ordered(name, column, values))
    if not found:
        raise NotApplicable("the data has neither factors nor classes of at least two values")
    return found


def _column(split: Split, column: int | None) -> np.ndarray:
    values = split.y if column is None else split.factors
    assert values is not None  # as the dataset has such attributes
    return values if column is None else values[:, column]


def _skill(accuracy: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How far accuracies `(A,)` are from that of naming the commonest group (0) to 1; `truth` is `(N, A)`."""
    chance = np.array([np.bincount(column).max() / len(column) for column in truth.T])
    return (accuracy - chance) / np.maximum(1 - chance, 1 / len(truth))


def _on_grid(data: DataSpec, x: Tensor) -> Tensor:
    return x if data.levels is None else snap(x, data.levels)


def _flip(flipped: np.ndarray, settings: dict[str, Any], flags: tuple[str, ...]) -> Measurement:
    """For whether each trial did what it should."""
    share, n = float(flipped.mean()), len(flipped)
    stderr = math.sqrt(share * (1 - share) / n)
    return Measurement("attribute_flip", share, "estimate", "higher", "", stderr, settings, wilson(share, n), flags)


def _keep(kept: np.ndarray, settings: dict[str, Any], flags: tuple[str, ...]) -> Measurement:
    """For the share of the other attributes that each trial kept. Where all trials agree, the bootstrap knows no error:
    Wilson's interval holds for shares too, whose variance is at most that of a yes or no."""
    error = bootstrap(kept)
    interval = error.interval if error.stderr else wilson(error.mean, len(kept))
    return Measurement("attribute_keep", error.mean, "estimate", "higher", "", error.stderr, settings, interval, flags)

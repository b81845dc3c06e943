"""The training loop: the same for every model, whatever its `update` does."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from genbench import clocks
from genbench.data.batch import Batch
from genbench.data.device import DeviceSplit
from genbench.errors import GenbenchError
from genbench.metrics.base import seeded
from genbench.model import Model
from genbench.plain import LARGEST, error_text, kind_text, one_number, plain_line, plain_scalars
from genbench.plan.budget import Budget
from genbench.plan.spec import Precision, Select
from genbench.results.schema import CurvePoint
from genbench.runner.arithmetic import Compiled, arithmetic, compiling, warm_up
from genbench.runner.checkpoint import take_over
from genbench.runner.clock import BudgetClock
from genbench.runner.log import say
from genbench.runner.resume import random_state, restore_random_state

#: The curve: fractions of the budget, log-spaced, at which the model is measured off the clock.
FRACTIONS = tuple(1.5**-i for i in range(9, -1, -1))
#: Validation data points that the objective is measured on, at most, and at a time.
VALIDATION_POINTS, VALIDATION_CHUNK = 5000, 500
#: Data points of the batch that data-dependent initialisation sees, at most.
SETUP_POINTS = 512
#: Training points that a model is given when training has ended, at most.
FINISHING_POINTS = 10_000
#: Seconds between two reports of progress.
HEARTBEAT = 0.2
#: Seconds between two states that a killed run goes on from.
SAVE_SECONDS = 30.0
#: Lines on scalars that are left out, at most.
SAID = 20
#: Seed of every measurement on the curve: the same noise at every point.
CURVE_SEED = 1234


class Diverged(Exception):
    """Training gave a loss that is not finite, or a validation objective that no record can hold."""


class StateRefused(Exception):
    """A model does not go on from a state that it has given; the message says why."""


@dataclass
class Trained:
    """What training leaves, beside the model.

    Attributes:
        selected: which weights the model now has.
        flops_per_image: floating-point operations of training per data point, None where not counted.
        compilation: `"compiled"`, or `"plain: …"` with the reason, where compilation was asked for.
    """

    clock: BudgetClock
    curve: list[CurvePoint] = field(default_factory=list)
    selected: dict[str, Any] = field(default_factory=dict)
    flops_per_image: float | None = None
    compilation: str | None = None


def train(
    model: Model,
    data: DeviceSplit,
    validation: DeviceSplit,
    budget: Budget,
    *,
    seed: int,
    precision: Precision,
    compiled: bool = False,
    select: Select,
    emit: Callable[[dict[str, Any]], None],
    quick: Callable[[Model], dict[str, float]],
    keep: Callable[[CurvePoint], None],
    begin: Callable[[BudgetClock], None] = lambda _: None,
    save: Callable[[dict[str, Any]], None] = lambda _: None,
    saved: dict[str, Any] | None = None,
) -> Trained:
    """Train `model` until the budget is spent or it says that it is done; it ends with the selected weights.

    Args:
        model: on the device.
        data: what it is trained on.
        validation: what its objective is measured on.
        budget: what it may spend.
        seed: of the order of the data; torch's own generators are the caller's to seed.
        precision: arithmetic of `update`; everything else is in fp32.
        compiled: whether `update` is compiled, off the clock, as far as it is the same at every step. What can't be
            compiled once for all steps, or is no faster for it, is trained uncompiled.
        select: `"best"` scores the weights with the best validation objective on the curve, where there is one.
        emit: called with a progress event a few times a second.
        quick: measures the model in evaluation mode, for the curve.
        keep: called off the clock with every point of the curve, also with those that `saved` has.
        begin: called once with the clock, before it counts; it tells what was spent also where training raises.
        save: called off the clock with what training can go on from, every `SAVE_SECONDS` and at its end, if the model
            has a `training_state`.
        saved: what `save` was given by a process that was killed; training goes on from there, and under a budget
            of steps comes to the same result as if it had never ended.

    Raises:
        Diverged: the loss is not finite; what `keep` was given stands.
        StateRefused: the model does not take over what was `saved`; the model is of no use then.
        GenbenchError: a budget in flops, and a model whose flops can't be counted; or `update` or `validation_loss`
            returned what their contract does not allow.
        Exception: whatever the model raises.
    """
    device = data.device
    with seeded(seed, device):
        setup_order = torch.randperm(len(data))[: SETUP_POINTS if model.batch_size else None]
        first = data.batch(setup_order.to(device))
        some = data.batch(torch.randperm(len(data))[:FINISHING_POINTS].to(device))
    model.train()
    model.setup(first)
    size = min(model.batch_size or len(data), len(data))
    one_batch = Batch(first.x[:size], None if first.y is None else first.y[:size])
    flops, uncompiled = _warm_up(model, one_batch, precision, compiled)
    compilation = compiling(model, device, compiled and uncompiled is None)
    if budget.flops is not None and flops is None and set(budget.limits()) <= {"flops", "memory_bytes"}:
        raise GenbenchError("this model's flops can't be counted: give a budget in seconds, steps or epochs")
    trained = Trained(BudgetClock(budget, device, len(data), flops), flops_per_image=flops and flops / size)
    if compiled:
        trained.compilation = f"plain: {uncompiled}" if uncompiled else "compiled"
    clock = trained.clock
    begin(clock)
    state = _State(model, trained, _Selection(model, select), device, keep)
    numbers = _Numbers()

    def point(scalars: dict[str, float]) -> None:
        model.eval()
        with seeded(CURVE_SEED, device), torch.no_grad():
            objective = _objective(model, validation)
            model.finish(some)
            metrics = quick(model)
        model.train()
        state.add(
            CurvePoint(
                fraction=clock.fraction,
                seconds=clock.seconds,
                steps=clock.steps,
                samples=clock.samples,
                objective=objective,
                scalars=scalars,
                metrics=metrics,
            )
        )

    if saved is not None:
        state.load(saved)
    pending = [fraction for fraction in FRACTIONS if fraction > clock.fraction]
    batches = data.shuffled(model.batch_size, torch.Generator().manual_seed(seed), skip=clock.steps)
    last_report = last_save = clocks.monotonic()
    if not state.ended:
        clock.start()
    while not state.ended:
        batch = next(batches)
        with arithmetic(device, precision), compilation:
            scalars = _update(model, batch, clock.fraction)
        clock.tick(len(batch.x))
        state.ended = bool(model.done) or clock.spent
        now = clocks.monotonic()
        if now - last_report >= HEARTBEAT or state.ended:
            last_report = now
            emit(_event(clock, numbers.of(scalars)))
        measure_now = state.ended or clock.fraction >= pending[0]
        save_now = state.ended or now - last_save >= SAVE_SECONDS
        if measure_now or save_now:
            clock.stop()
            if measure_now:
                point(numbers.of(scalars))
                pending = [fraction for fraction in pending if fraction > clock.fraction]
            if save_now and (document := state.document()) is not None:
                save(document)
                last_save = clocks.monotonic()
            if not state.ended:
                clock.start()
    trained.selected = state.selection.restore()
    model.eval()
    with seeded(seed, device), torch.no_grad():
        model.finish(some)
    return trained


class _State:
    """All that training goes on from, of which a document can be made and taken over by another process.

    Attributes:
        ended: whether nothing is left to train.
    """

    def __init__(
        self,
        model: Model,
        trained: Trained,
        selection: _Selection,
        device: torch.device,
        keep: Callable[[CurvePoint], None],
    ) -> None:
        self.model = model
        self.trained = trained
        self.selection = selection
        self.device = device
        self.keep = keep
        self.ended = False
        self._failed = ""

    def add(self, point: CurvePoint) -> None:
        """A point of the curve has been measured."""
        self.trained.curve.append(point)
        self.keep(point)
        self.selection.consider(point)

    def document(self) -> dict[str, Any] | None:
        """The state as plain data and tensors, or None where the model can't go on from one; where it fails to tell,
        the log says so once."""
        try:
            training = self.model.training_state()
        except Exception as error:
            if self._failed != (failed := error_text(error)):
                self._failed = failed
                say(f"no state is saved: training_state: {failed}")
            return None
        if training is None:
            return None
        return {
            "ended": self.ended,
            "clock": self.trained.clock.state(),
            "curve": [asdict(point) for point in self.trained.curve],
            "weights": dict(self.model.state_dict()),
            "training": training,
            "best": self.selection.state,
            "random": random_state(self.device),
        }

    def load(self, document: dict[str, Any]) -> None:
        """Take over a document.

        Raises:
            StateRefused: the model does not take it; nothing but the model has changed.
        """
        try:
            take_over(self.model, document["weights"])
            self.model.load_training_state(document["training"])
        except Exception as error:
            raise StateRefused(error_text(error)) from error
        self.trained.clock.restore(document["clock"])
        for point in document["curve"]:
            self.add(CurvePoint(**point))
        self.selection.state = document["best"]
        self.ended = document["ended"]
        restore_random_state(document["random"], self.device)


class _Selection:
    """Keeps the weights of the best validation objective seen on the curve."""

    def __init__(self, model: Model, select: Select) -> None:
        self.model = model
        self.select = select
        self.best: CurvePoint | None = None
        self.last: CurvePoint | None = None
        self.state: dict[str, Any] = {}

    def consider(self, point: CurvePoint) -> None:
        self.last = point
        if self.select == "last" or point.objective is None:
            return
        if self.best is None or self.best.objective is None or point.objective < self.best.objective:
            self.best = point
            self.state = copy.deepcopy(self.model.state_dict())

    def restore(self) -> dict[str, Any]:
        """Give the model the selected weights, and say which they are."""
        if self.best is not None:
            take_over(self.model, self.state)
        chosen = self.best or self.last
        assert chosen is not None  # the curve has its last point
        return {
            "rule": "best" if self.best else "last",
            "fraction": chosen.fraction,
            "steps": chosen.steps,
            "objective": chosen.objective,
        }


def _objective(model: Model, validation: DeviceSplit) -> float | None:
    """The mean validation objective over at most `VALIDATION_POINTS` data points."""
    total, count = 0.0, 0
    for batch in validation.chunks(VALIDATION_CHUNK):
        loss = model.validation_loss(batch)
        if loss is None:
            return None
        number = one_number(loss)
        if number is None:
            raise GenbenchError(f"`validation_loss` returned {kind_text(loss)}; it must return one number or None")
        total += number * len(batch.x)
        count += len(batch.x)
        if count >= VALIDATION_POINTS:
            break
    mean = total / count
    if not abs(mean) <= LARGEST:
        raise Diverged(f"the validation objective is {mean}")
    return mean


def _warm_up(model: Model, batch: Batch, precision: Precision, compiled: bool) -> tuple[float | None, str | None]:
    """One step of a twin, or more if it is compiled, so that nothing is loaded or compiled on the clock.

    A model that asks for the whole training split at once is fitted by one step and not warmed up.

    Returns:
        the flops of a step, None where they are unknown, and why the model is not to be compiled, None if it is.
    """
    if model.batch_size is None:
        return None, "it is fitted in one step"
    twin = copy.deepcopy(model)
    device = batch.x.device

    def step(progress: float) -> None:
        with arithmetic(device, precision):
            _update(twin, batch, progress)

    with seeded(0, device), FlopCounterMode(display=False) as counter:
        step(0.0)
    flops = float(counter.get_total_flops()) or None
    if not compiled:
        return flops, None
    with seeded(0, device):
        return flops, warm_up(Compiled(twin, device), device, step)


def _update(model: Model, batch: Batch, progress: float) -> Mapping[Any, Any]:
    """One training step; what it returned.

    Raises:
        GenbenchError: `update` returned no dict, or one with names that are no plain text.
        Exception: whatever the model raises.
    """
    scalars = model.update(batch, progress)
    if not isinstance(scalars, Mapping):
        raise GenbenchError(f"`update` returned {kind_text(scalars)}; it must return a dict of scalars")
    for name in scalars:
        if type(name) is not str or not name.isprintable():
            what = f"{kind_text(name)}, {plain_line(name)!r}"
            raise GenbenchError(f"`update` returned a scalar named by {what}; names must be plain text")
    return scalars


def _event(clock: BudgetClock, scalars: dict[str, float]) -> dict[str, Any]:
    return {
        "phase": "training",
        "fraction": clock.fraction,
        "seconds": clock.seconds,
        "steps": clock.steps,
        "samples": clock.samples,
        "images_per_s": clock.images_per_s,
        "scalars": scalars,
    }


class _Numbers:
    """Makes finite numbers under plain names of what `update` returned; what is left out is said once in the log."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def of(self, scalars: Mapping[Any, Any]) -> dict[str, float]:
        """The numbers.

        Raises:
            Diverged: the loss is not finite.
        """
        loss = one_number(scalars.get("loss"))
        if loss is not None and not math.isfinite(loss):
            raise Diverged(f"loss is {loss}")
        numbers, left_out = plain_scalars(scalars)
        for what in left_out:
            if what not in self._said and len(self._said) < SAID:
                self._said.add(what)
                say(f"neither shown nor recorded: {what}")
        return numbers

"""The budget clock: training time on the device, steps, epochs and floating-point operations against their limits."""

from __future__ import annotations

from statistics import median
from typing import Any

import torch

from genbench import clocks as time
from genbench.plan.budget import Budget
from genbench.runner.energy import Energy
from genbench.runner.share import Share

#: Between two looks at the clock on a GPU (each waits for the device): seconds, and fraction of the budget.
LOOK_SECONDS, LOOK_FRACTION = 0.1, 0.004
#: The windows that throughput is the median of, in seconds.
WINDOW = 0.5


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class BudgetClock:
    """Counts what training spends. `start` and `stop` bracket training; what happens in between is not counted.

    Args:
        budget: what may be spent.
        device: it is synchronised before the time is read; on a GPU therefore not at every step.
        epoch: data points in an epoch.
        flops_per_step: floating-point operations of one step, None where unknown.

    Attributes:
        seconds, steps, samples: spent so far.
        spent: whether a limit is reached.
    """

    def __init__(self, budget: Budget, device: torch.device, epoch: int, flops_per_step: float | None = None) -> None:
        self.budget = budget
        self.device = device
        self.epoch = epoch
        self.flops_per_step = flops_per_step
        self.seconds = 0.0
        self.steps = 0
        self.samples = 0
        self._since: float | None = None
        self._stride = 1
        self._next_look = 1
        self._seconds_at_look = 0.0
        self._steps_at_look = 0
        self._windows: list[float] = []
        self._window_start = (0.0, 0)
        self._seconds_before = 0.0
        self._share = Share(device)
        self._energy = Energy(device)

    def start(self) -> None:
        """Begin, or go on, counting time."""
        synchronize(self.device)
        self._share.start()
        self._energy.start()
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Stop counting time."""
        if self._since is not None:
            self._look()
            self._since = None
            self._energy.stop()
            self._share.stop()

    def break_off(self) -> None:
        """Stop counting time where training raised; the device, which may be what has failed, is not waited for."""
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None
            self._energy.stop()
            self._share.stop()

    def tick(self, samples: int) -> None:
        """One step on this many data points is done."""
        self.steps += 1
        self.samples += samples
        if self.device.type == "cpu" or self.steps >= self._next_look:
            self._look()

    def state(self) -> dict[str, Any]:
        """What a clock of another process needs to count on; taken while this one is stopped."""
        return {
            "seconds": self.seconds,
            "steps": self.steps,
            "samples": self.samples,
            "windows": list(self._windows),
            "window_start": list(self._window_start),
            "share": self._share.state(),
            "energy": self._energy.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Count on from `state`."""
        self.seconds, self.steps, self.samples = state["seconds"], state["steps"], state["samples"]
        self._windows = list(state["windows"])
        self._window_start = (state["window_start"][0], state["window_start"][1])
        self._seconds_at_look, self._steps_at_look = self.seconds, self.steps
        self._seconds_before = self.seconds
        self._share.restore(state["share"])
        self._energy.restore(state["energy"])

    @property
    def seconds_here(self) -> float:
        """Of `seconds`, those that this process has spent itself."""
        return self.seconds - self._seconds_before

    def timing(self) -> dict[str, float]:
        """What the time cost, and whether the run had all of it, as far as it is known; taken while the clock is
        stopped. See `Share.timing` and `Energy.timing`."""
        return self._share.timing() | self._energy.timing()

    @property
    def flops(self) -> float | None:
        """Floating-point operations so far, None where unknown."""
        return None if self.flops_per_step is None else self.flops_per_step * self.steps

    @property
    def fraction(self) -> float:
        """The largest fraction of any limit that is spent, at most 1. Between two looks, time is extrapolated."""
        budget, parts = self.budget, [0.0]
        if budget.seconds is not None:
            ahead = self.steps - self._steps_at_look
            seconds = self.seconds + (ahead * self.seconds / self._steps_at_look if self._steps_at_look else 0.0)
            parts.append(seconds / budget.seconds)
        if budget.steps is not None:
            parts.append(self.steps / budget.steps)
        if budget.epochs is not None:
            parts.append(self.samples / (self.epoch * budget.epochs))
        if budget.flops is not None and self.flops is not None:
            parts.append(self.flops / budget.flops)
        return min(max(parts), 1.0)

    @property
    def spent(self) -> bool:
        """Whether a limit is reached."""
        return self.fraction >= 1.0

    @property
    def images_per_s(self) -> float | None:
        """Training throughput: the median over windows, the overall mean where there are fewer than three."""
        if len(self._windows) >= 3:
            return median(self._windows)
        return self.samples / self.seconds if self.seconds > 0 else None

    def _look(self) -> None:
        synchronize(self.device)
        now = time.perf_counter()
        assert self._since is not None  # only called between start and stop
        self.seconds += now - self._since
        self._since = now
        steps = self.steps - self._steps_at_look
        if self.device.type != "cpu" and steps:
            per_step = (self.seconds - self._seconds_at_look) / steps
            pause = min(LOOK_SECONDS, LOOK_FRACTION * (self.budget.seconds or LOOK_SECONDS / LOOK_FRACTION))
            self._stride = max(1, min(2 * self._stride, int(pause / max(per_step, 1e-9))))
        self._next_look = self.steps + self._stride
        self._seconds_at_look, self._steps_at_look = self.seconds, self.steps
        seconds, samples = self._window_start
        if self.seconds - seconds >= WINDOW:
            self._windows.append((self.samples - samples) / (self.seconds - seconds))
            self._window_start = (self.seconds, self.samples)

import itertools

import pytest
import torch

from genbench.plan.budget import Budget
from genbench.runner import clock as clock_module
from genbench.runner.clock import BudgetClock

CPU = torch.device("cpu")


class Time:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(clock_module, "time", time)
    return time


def spend(clock, time, step, samples=10):
    """Steps of `step` seconds until a limit is reached; how many."""
    clock.start()
    while not clock.spent:
        time.now += step
        clock.tick(samples)
    clock.stop()
    return clock.steps


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        ("10s", 20),
        ("7steps", 7),
        ("2epochs", 20),
        ("1000flop", 10),
        ("10s,7steps", 7),
        ("3s,7steps", 6),
        ("10s,4GiB", 20),
    ],
)
def test_the_first_limit_that_is_reached_ends_training(time, budget, steps):
    clock = BudgetClock(Budget.parse(budget), CPU, epoch=100, flops_per_step=100.0)
    assert spend(clock, time, step=0.5) == steps
    assert clock.fraction == 1.0
    assert clock.samples == 10 * steps


def test_a_budget_is_overshot_by_less_than_a_step(time):
    clock = BudgetClock(Budget(seconds=10), CPU, epoch=100)
    spend(clock, time, step=0.3)
    assert 10 <= clock.seconds < 10.3


def test_what_happens_while_the_clock_is_stopped_is_not_counted(time):
    clock = BudgetClock(Budget(seconds=10), CPU, epoch=100)
    clock.start()
    time.now += 1
    clock.tick(10)
    clock.stop()
    time.now += 1000
    clock.start()
    time.now += 2
    clock.tick(10)
    clock.stop()
    assert clock.seconds == pytest.approx(3)
    assert clock.fraction == pytest.approx(0.3)


def test_throughput_is_the_median_of_windows(time):
    clock = BudgetClock(Budget(seconds=100), CPU, epoch=100)
    clock.start()
    for step in [0.6, 0.6, 60.0, 0.6, 0.6]:  # one stall
        time.now += step
        clock.tick(60)
    assert clock.images_per_s == pytest.approx(100)


def test_throughput_of_a_short_run_is_its_mean(time):
    clock = BudgetClock(Budget(seconds=100), CPU, epoch=100)
    assert clock.images_per_s is None
    clock.start()
    time.now += 0.1
    clock.tick(10)
    assert clock.images_per_s == pytest.approx(100)


def test_on_a_gpu_the_device_is_waited_for_rarely_and_the_overshoot_stays_below_one_percent(time, monkeypatch):
    looks = []
    monkeypatch.setattr(clock_module, "synchronize", lambda device: looks.append(time.now))
    clock = BudgetClock(Budget(seconds=60), torch.device("cuda"), epoch=100)
    steps = spend(clock, time, step=0.001)
    assert len(looks) < steps / 20
    assert 60 <= clock.seconds <= 60.6
    assert max(b - a for a, b in itertools.pairwise(looks)) <= 0.25


def test_the_time_of_day_may_jump(monkeypatch):
    """A machine's clock is set back by an hour while a run trains: no budget is measured by it."""
    clock = BudgetClock(Budget(seconds=3600), CPU, epoch=100)
    clock.start()
    monkeypatch.setattr("time.time", lambda: -3600.0)
    monkeypatch.setattr("time.time_ns", lambda: -3600 * 10**9)
    clock.tick(10)
    clock.stop()
    assert 0 <= clock.seconds < 60


def test_a_clock_that_is_broken_off_has_counted_until_then_and_does_not_wait_for_the_device(time, monkeypatch):
    clock = BudgetClock(Budget(steps=9), CPU, epoch=10)
    clock.start()
    time.now += 0.5

    def broken(device):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(clock_module, "synchronize", broken)
    clock.break_off()
    time.now += 1.0
    clock.break_off()
    assert clock.seconds == 0.5
    assert clock.timing()["cpu_seconds"] > 0

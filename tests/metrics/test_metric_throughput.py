import time

import pytest
import torch
from torch import nn

from genbench.metrics import NotApplicable
from genbench.metrics.throughput import Throughput
from genbench.model import Sampler


class Sleepy(nn.Module, Sampler):
    """Takes 2 ms a call and 20 us a sample."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.register_buffer("running", torch.zeros(100))
        self.calls = []

    def sample(self, n, y=None):
        self.calls.append(n)
        time.sleep(0.002 + 20e-6 * n)
        return torch.zeros(n, 1, 3, 3)


def measure(subject, **config):
    return Throughput(Throughput.Config(**config)).measure(subject)


def test_every_number_that_applies_is_there(make_subject, by_name):
    subject = make_subject(Sleepy(), images_per_s=1234, peak_memory_bytes=3 * 2**20, flops_per_image=5e6)
    measurements = measure(subject, seconds=0.1)
    got = by_name(measurements)
    assert [m.name for m in measurements] == list(Throughput.names)
    assert got.train_images_per_s.value == 1234
    assert got.peak_memory_mib.value == 3
    assert got.parameters.value == 16
    assert got.flops_per_image.value == 5e6
    assert got.sample_images_per_s.settings == {"batch": 256}
    better = [m.better for m in measurements]
    assert better == ["higher", "higher", "lower", "lower", "neither", "neither"]


def test_speeds_are_no_faster_than_the_sampler(make_subject, by_name):
    got = by_name(measure(make_subject(Sleepy()), seconds=0.1, batch=100))
    # a sleep lasts at least as long as asked; how much longer is up to the machine
    assert got.sample_images_per_s.value <= 100 / 0.004
    assert got.latency_ms.value >= 2.02


def test_a_slow_sampler_is_called_once_to_warm_up_and_once_to_time(make_subject):
    model = Sleepy()
    measure(make_subject(model), seconds=1e-6, batch=10)
    assert model.calls == [10, 10, 1, 1]


def test_what_the_training_loop_did_not_count_is_left_out(make_subject):
    class Closed(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(7))
            self.register_buffer("steps", torch.zeros(2, dtype=torch.int64))

    (only,) = measure(make_subject(Closed()))
    # a closed-form fit has learned its floating-point buffers
    assert (only.name, only.value, only.kind) == ("parameters", 7, "exact")


def test_a_reference_row_has_no_throughput(make_subject):
    class Stand(Sampler):
        def sample(self, n, y=None): ...

    with pytest.raises(NotApplicable, match="no model"):
        measure(make_subject(Stand()))

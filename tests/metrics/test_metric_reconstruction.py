import math

import pytest
import torch

from genbench.metrics import MetricError
from genbench.metrics.reconstruction import Reconstruction
from genbench.model import Reconstructor


class Function(Reconstructor):
    def __init__(self, function):
        self.function = function

    def reconstruct(self, x):
        return self.function(x)


def measure(subject, **config):
    (measurement,) = Reconstruction(Reconstruction.Config(**config)).measure(subject)
    return measurement


def test_the_error_is_the_mean_square_over_points_and_dimensions(make_subject):
    subject = make_subject(Function(lambda x: x * 0.5))
    got = measure(subject)
    errors = (0.5 * subject.test.x().double()).square().flatten(1).mean(1)
    assert (got.name, got.kind, got.better) == ("reconstruction_mse", "exact", "lower")
    assert got.value == pytest.approx(errors.mean().item())
    assert got.stderr == pytest.approx(errors.std().item() / math.sqrt(60))
    assert got.settings == {"n": 60}


def test_a_perfect_reconstruction_has_no_error(make_subject):
    got = measure(make_subject(Function(lambda x: x)), n=10)
    assert (got.value, got.stderr, got.settings["n"]) == (0.0, 0.0, 10)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.flatten(1), r"Function\.reconstruct returned shape \(60, 9\), not \(60, 1, 3, 3\)"),
        (lambda x: x * torch.nan, r"Function\.reconstruct returned 540 NaN among 540 numbers"),
    ],
)
def test_what_is_no_reconstruction_is_named(make_subject, function, message):
    with pytest.raises(MetricError, match=message):
        measure(make_subject(Function(function)))

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from genbench.data import ViewOptions, apply_view
from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.anomaly import Anomaly, auroc
from genbench.model import Encoder, Reconstructor


def brute_force(normal, anomalous):
    """The area and DeLong's error by comparing every pair."""
    wins = (anomalous[:, None] > normal) + 0.5 * (anomalous[:, None] == normal)
    variance = wins.mean(1).var(ddof=1) / len(anomalous) + wins.mean(0).var(ddof=1) / len(normal)
    return wins.mean(), math.sqrt(variance)


@pytest.mark.parametrize("levels", [3, 10, 10_000])
def test_the_area_and_its_error_are_those_of_all_pairs(levels):
    rng = np.random.default_rng(levels)
    normal = rng.integers(0, levels, 37).astype(float)
    anomalous = rng.integers(levels // 3, levels, 22).astype(float)
    value, stderr = brute_force(normal, anomalous)
    got = auroc(normal, anomalous)
    assert got.value == pytest.approx(value, abs=1e-12)
    assert got.stderr == pytest.approx(stderr, abs=1e-12)


@pytest.mark.parametrize(
    ("normal", "anomalous", "value"),
    [
        ([1, 2, 3], [4, 5], 1.0),
        ([4, 5], [1, 2, 3], 0.0),
        ([1, 3], [2, 4], 0.75),
        ([1, 2], [2, 3], 0.875),
        ([7, 7, 7], [7, 7], 0.5),
    ],
)
def test_small_cases_by_hand(normal, anomalous, value):
    assert auroc(np.array(normal, float), np.array(anomalous, float)).value == pytest.approx(value)


def test_one_point_of_a_sort_has_no_error():
    assert auroc(np.array([1.0, 2.0, 3.0]), np.array([2.5])).stderr is None
    assert auroc(np.array([1.0]), np.array([2.5, 0.0])).stderr is None


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_error_covers_the_area_between_two_gaussians(shift):
    rng = np.random.default_rng(0)
    truth = norm.cdf(shift / math.sqrt(2))
    found = [auroc(rng.normal(size=80), rng.normal(shift, size=50)) for _ in range(400)]
    values = np.array([area.value for area in found])
    stderrs = np.array([area.stderr for area in found])
    assert abs(values.mean() - truth) < 5 * values.std(ddof=1) / math.sqrt(400)
    covered = np.mean(np.abs(values - truth) < 1.96 * stderrs)
    assert abs(covered - 0.95) < 5 * math.sqrt(0.95 * 0.05 / 400)


class Codes(Encoder):
    def __init__(self, function):
        self.encode_with = function

    def encode(self, x):
        return self.encode_with(x)


class Restored(Reconstructor):
    def __init__(self, function):
        self.reconstruct_with = function

    def reconstruct(self, x):
        return self.reconstruct_with(x)


class Both(Codes, Restored):
    def __init__(self, encode, reconstruct):
        Codes.__init__(self, encode)
        Restored.__init__(self, reconstruct)


@pytest.fixture
def held_out(make_dataset):
    """Images of rows without those whose middle row is bright, which are the anomalies."""
    return apply_view(make_dataset(), ViewOptions(holdout=1))


def pixels(x):
    return x.flatten(1)


def dim_middle(x):
    """What only knows images with a dark middle row."""
    restored = x.clone()
    restored[:, :, 1] = restored[:, :, 1].clamp(max=0.25)
    return restored


def measure(subject, **config):
    return Anomaly(Anomaly.Config(**config)).measure(subject)


def test_both_scores_tell_the_class_held_out(make_subject, held_out, by_name):
    got = by_name(measure(make_subject(Both(pixels, dim_middle), held_out)))
    for measurement in (got.anomaly_code_auroc, got.anomaly_error_auroc):
        assert (measurement.kind, measurement.better) == ("estimate", "higher")
        assert measurement.value > 0.9
        counts = {"n_normal": len(held_out.test), "n_anomalous": len(held_out.anomalies)}
        assert counts.items() <= measurement.settings.items()
    assert got.anomaly_code_auroc.settings["neighbours"] == 5
    assert got.anomaly_code_auroc.settings["n_train"] == len(held_out.train)


def test_the_code_score_is_the_distance_to_the_kth_nearest_training_code(make_subject, held_out):
    (got,) = measure(make_subject(Codes(pixels), held_out), neighbours=3)
    train, test, anomalies = (
        torch.from_numpy(split.x).flatten(1).double() for split in (held_out.train, held_out.test, held_out.anomalies)
    )
    normal, anomalous = (torch.cdist(x, train).kthvalue(3, dim=1).values.numpy() for x in (test, anomalies))
    # equal distances may differ by rounding in one of the two ways of computing them
    normal, anomalous = normal.round(6), anomalous.round(6)
    value, stderr = brute_force(normal, anomalous)
    assert got.name == "anomaly_code_auroc"
    assert got.value == pytest.approx(value, abs=0.01)
    assert got.stderr == pytest.approx(stderr, abs=0.005)


def test_the_error_score_is_the_reconstruction_error(make_subject, held_out):
    (got,) = measure(make_subject(Restored(dim_middle), held_out))
    normal, anomalous = (
        (torch.from_numpy(split.x).double() / 4 - dim_middle(torch.from_numpy(split.x).double() / 4))
        .square()
        .flatten(1)
        .mean(1)
        .numpy()
        for split in (held_out.test, held_out.anomalies)
    )
    assert got.name == "anomaly_error_auroc"
    assert (got.value, got.stderr) == pytest.approx(brute_force(normal, anomalous), abs=1e-9)


def test_the_codes_mean_and_scale_make_no_difference(make_subject, held_out):
    torch.manual_seed(0)
    weights = torch.randn(9, 4, dtype=torch.float64)
    values = [
        measure(make_subject(Codes(lambda x, a=a, b=b: a * (pixels(x).double() @ weights) + b), held_out))[0].value
        for a, b in ((1.0, 0.0), (1e-3, 0.0), (1.0, 1e6))
    ]
    assert values[1:] == pytest.approx([values[0]] * 2, abs=1e-9)


def test_codes_of_one_dimension_are_scored(make_subject, held_out):
    (got,) = measure(make_subject(Codes(lambda x: x[:, 0, 1].mean(1, keepdim=True)), held_out))
    assert got.value > 0.9


def test_scores_that_are_all_equal_are_chance_and_say_so(make_subject, held_out, by_name):
    got = by_name(measure(make_subject(Both(lambda x: torch.ones(len(x), 2), lambda x: x), held_out)))
    for measurement in (got.anomaly_code_auroc, got.anomaly_error_auroc):
        assert (measurement.value, measurement.stderr) == (0.5, 0.0)
        assert measurement.flags == ("all scores are equal",)


def test_scores_that_differ_by_rounding_are_equal(make_subject, held_out, by_name):
    """Codes and reconstructions of single precision hang on a point's place in its batch by about as much as this."""
    model = Both(
        lambda x: 3 + 1e-7 * torch.randn(len(x), 2),
        lambda x: x + 2 + 2e-7 * torch.randint_like(x, 2, dtype=torch.float32),
    )
    got = by_name(measure(make_subject(model, held_out)))
    for measurement in (got.anomaly_code_auroc, got.anomaly_error_auroc):
        assert (measurement.value, measurement.stderr) == (0.5, 0.0)
        assert measurement.flags == ("all scores are equal",)


def test_an_error_of_zero_is_not_believed_where_the_scores_do_not_overlap(make_subject, held_out):
    def restore_two_classes(x):
        return torch.where((x[:, 0, 1].amin(1) >= 0.5)[:, None, None, None], x + 1, x)

    (got,) = measure(make_subject(Restored(restore_two_classes), held_out))
    assert (got.value, got.stderr) == (1.0, 0.0)
    assert "do not overlap" in got.flags[0]


def test_data_without_anomalies_is_told_which_view_to_ask_for(make_subject, make_dataset):
    with pytest.raises(NotApplicable, match=r"no class is held out: .* rows\[holdout=2\]"):
        measure(make_subject(Codes(pixels)))
    with pytest.raises(NotApplicable, match="no classes"):
        measure(make_subject(Codes(pixels), make_dataset(labelled=False)))


def test_fewer_training_points_than_neighbours_are_refused(make_subject, held_out):
    with pytest.raises(NotApplicable, match="needs 500 training points"):
        measure(make_subject(Codes(pixels), held_out), neighbours=500)


def test_codes_that_are_none_are_named(make_subject, held_out):
    with pytest.raises(MetricError, match=r"Codes\.encode returned .* NaN"):
        measure(make_subject(Codes(lambda x: pixels(x) * torch.nan), held_out))

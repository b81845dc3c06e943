import math

import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Split
from genbench.metrics import NotApplicable
from genbench.metrics.fidelity import DensityCoverage, FrechetDistance, KernelDistance, PrecisionRecall
from genbench.metrics.memorisation import FLAG, Memorisation, memorised
from genbench.metrics.neighbours import nearest
from genbench.model import Sampler
from genbench.runner.reference_rows import reference_row


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_copies_of_training_points_are_nearest_to_them_and_copies_of_others_are_not():
    train, held_out = normal(60, 4), normal(20, 4)
    copied = memorised(train[:30], train, held_out)
    assert (copied.share, copied.expected, copied.copies, copied.stderr) == (1, 0.75, 1, 0)
    assert copied.flags == (FLAG,)
    other = memorised(held_out, train, held_out)
    assert (other.share, other.copies) == (0, -3)
    assert other.flags == ()


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_nearest_points_are_those_of_a_plain_search(offset):
    samples, data = normal(50, 3) + offset, normal(40, 3) + offset
    want = np.bincount([min(range(40), key=lambda i: torch.dist(x, data[i]).item()) for x in samples], minlength=40)
    assert nearest(samples, data).tolist() == want.tolist()


def test_ties_count_in_equal_parts():
    """Four copies of a point in training data and one among held-out data: a sample there says 4/5, as expected."""
    point, far = normal(1, 4), normal(1, 4) + 100
    train, held_out = torch.cat([point.expand(4, -1), far.expand(4, -1)]), torch.cat([point, far])
    noisy = point.expand(10, -1) * (1 + 1e-13 * normal(10, 1))  # one picture in several batches
    found = memorised(noisy, train, held_out)
    assert found.share == pytest.approx(found.expected) == pytest.approx(0.8)
    assert found.copies == pytest.approx(0, abs=1e-12)
    assert nearest(noisy, torch.cat([train, held_out])).tolist() == pytest.approx([2, 2, 2, 2, 0, 0, 0, 0, 2, 0])


def test_features_that_are_the_same_for_all_points_say_nothing():
    found = memorised(torch.ones(30, 4).double(), torch.ones(60, 4).double(), torch.ones(20, 4).double())
    assert found.copies == pytest.approx(0, abs=1e-12)
    assert (found.null_stderr, found.z, found.flags) == (0, 0, ())


@pytest.mark.parametrize("spread", [1.0, 0.2])
def test_the_null_error_is_the_spread_over_exchanged_labels(spread):
    """Samples in a corner of the data, whose neighbours are few and shared, under 2,000 labellings of the same data."""
    samples, data = spread * normal(80, 2) + 1, normal(100, 2)
    data[1] = data[0]  # with a tie
    found = [memorised(samples, part[:70], part[70:]) for part in (data[torch.randperm(100)] for _ in range(2000))]
    shares = np.array([each.share for each in found])
    assert {round(each.null_stderr, 9) for each in found} == {round(found[0].null_stderr, 9)}
    # the standard deviation of 2,000 draws is known to 1/sqrt(4,000)
    assert shares.std() == pytest.approx(found[0].null_stderr, rel=5 / math.sqrt(4000))
    assert shares.mean() == pytest.approx(0.7, abs=5 * found[0].null_stderr / math.sqrt(2000))


def test_the_error_covers_the_share_of_copies():
    """30% copies, the rest independent: the interval of 200 draws of everything holds 0.3 in 95%, to five standard
    errors of that share."""

    def draw():
        train, held_out = normal(300, 3), normal(100, 3)
        found = memorised(torch.cat([train[:60], normal(140, 3)]), train, held_out)
        return abs(found.copies - 0.3) <= 1.96 * found.stderr / (1 - found.expected)

    assert np.mean([draw() for _ in range(200)]) >= 0.95 - 5 * math.sqrt(0.95 * 0.05 / 200)


def test_independent_samples_are_seldom_flagged_whatever_their_quality():
    for scale in (0.1, 1.0, 5.0):
        found = [memorised(scale * normal(100, 3), normal(150, 3), normal(50, 3)) for _ in range(200)]
        z = np.array([each.z for each in found])
        assert abs(z.mean()) < 5 * z.std() / math.sqrt(200)
        assert z.std() == pytest.approx(1, rel=5 / math.sqrt(400))
        assert sum(bool(each.flags) for each in found) <= 4


@pytest.fixture
def digits(make_subject):
    """A subject of the digits for a reference row, or for a sampler of the splits."""
    from pathlib import Path

    from genbench_datasets.digits import Digits

    dataset = Digits(Digits.Config(), Path("unused")).load()

    def make(row):
        subject = make_subject(None, dataset)
        named = isinstance(row, str)
        subject.model = reference_row(row, dataset.spec, subject.train, subject.test) if named else row(subject)
        return subject

    return make


class HalfCopied(Sampler):
    """Half training points, half test points."""

    def __init__(self, subject):
        self.subject = subject

    def sample(self, n, y=None):
        splits = [self.subject.train, self.subject.test]
        return torch.cat([split.batch(torch.randperm(len(split))[: n // 2]).x for split in splits])


@pytest.mark.parametrize(
    ("row", "value", "flagged"),
    [("train copy", 1.0, True), (HalfCopied, 0.5, True), ("real (test split)", 0.0, False), ("noise", 0.0, False)],
)
def test_the_reference_rows_calibrate_it(digits, row, value, flagged):
    (found,) = Memorisation(Memorisation.Config()).measure(digits(row))
    assert found.value == pytest.approx(value, abs=5 * found.stderr)
    assert found.flags == ((FLAG,) if flagged else ())
    assert found.settings["expected"] == pytest.approx(1078 / (1078 + 359))
    assert (found.settings["n_train"], found.settings["n_validation"], found.settings["n"]) == (1078, 359, 360)
    assert found.better == "neither"


@pytest.mark.parametrize("metric", [FrechetDistance, KernelDistance, PrecisionRecall, DensityCoverage])
def test_every_fidelity_score_of_copies_is_flagged(digits, metric, monkeypatch):
    copied = digits("train copy")
    assert all(FLAG in found.flags for found in metric(metric.Config()).measure(copied))
    assert not any(FLAG in found.flags for found in metric(metric.Config(memorisation=False)).measure(copied))
    assert not any(FLAG in found.flags for found in metric(metric.Config()).measure(digits("real (test split)")))


def test_the_check_is_made_once_for_all_scores(digits, monkeypatch):
    calls = []
    monkeypatch.setattr("genbench.metrics.memorisation.memorised", lambda *sets: calls.append(1) or memorised(*sets))
    subject = digits("real (test split)")
    for metric in (Memorisation, FrechetDistance, KernelDistance):
        metric(metric.Config()).measure(subject)
    assert calls == [1]


def test_too_few_held_out_points_are_not_applicable_and_flag_nothing(make_subject):
    rng = np.random.default_rng(0)
    splits = [Split(rng.normal(size=(n, 4)).astype(np.float32)) for n in (50, 5, 40)]
    dataset = Dataset("normal", DataSpec((4,), "continuous"), *splits, family="normal")
    subject = make_subject(None, dataset)
    subject.model = reference_row("train copy", dataset.spec, subject.train, subject.test)
    with pytest.raises(NotApplicable, match="needs 10 data points, there are 5"):
        Memorisation(Memorisation.Config()).measure(subject)
    assert FrechetDistance(FrechetDistance.Config()).measure(subject)[0].flags == ()

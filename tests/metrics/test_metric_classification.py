import math

import pytest
import torch

from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.classification import Classification
from genbench.metrics.resampling import wilson
from genbench.model import Classifier, Reconstructor
from genbench.runner.measure import ask

CLASSES = 3


class Function(Classifier):
    def __init__(self, function):
        self.function = function

    def class_log_probs(self, x):
        return self.function(x)


def brightest_row(x):
    """The class of every image."""
    return x[:, 0].sum(2).mul(30).log_softmax(1)


def never_the_last(x):
    """The same, but that images of the last class are taken for one of the others."""
    return (brightest_row(x) - torch.tensor([0.0, 0.0, 100.0])).log_softmax(1)


def sure_of(label):
    return lambda x: torch.full((len(x), CLASSES), -torch.inf).index_fill(1, torch.tensor([label]), 0.0)


def measure(subject, **config):
    (measurement,) = Classification(Classification.Config(**config)).measure(subject)
    return measurement


def test_the_error_is_the_share_of_wrong_classes_with_wilsons_interval(make_subject):
    subject = make_subject(Function(never_the_last))
    got = measure(subject)
    error = float((subject.test.y() == 2).double().mean())
    assert 0 < error < 1
    assert (got.name, got.kind, got.better) == ("classification_error", "exact", "lower")
    assert got.value == pytest.approx(error)
    assert got.stderr == pytest.approx(math.sqrt(error * (1 - error) / 60))
    assert got.interval == pytest.approx(wilson(error, 60))
    assert got.settings == {"n": 60, "classes": 3}


def test_classes_may_be_impossible(make_subject):
    subject = make_subject(Function(sure_of(1)))
    assert measure(subject).value == pytest.approx(float((subject.test.y() != 1).double().mean()))


def test_no_error_at_all_has_an_interval_all_the_same(make_subject):
    got = measure(make_subject(Function(brightest_row)))
    assert (got.value, got.stderr, got.interval[0]) == (0.0, 0.0, 0.0)
    assert 0 < got.interval[1] < 0.1


def test_it_is_asked_in_parts_of_any_number_of_points(make_subject, make_dataset):
    sizes = []

    def remembered(x):
        sizes.append(len(x))
        return brightest_row(x)

    dataset = make_dataset(sizes=(200, 20, 1100))
    assert measure(make_subject(Function(remembered), dataset), n=1050).settings["n"] == 1050
    assert sizes == [500, 500, 50]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.flatten(1), r"Function\.class_log_probs returned shape \(60, 9\), not \(60, 3\)"),
        (lambda x: brightest_row(x) * torch.nan, r"Function\.class_log_probs returned 180 NaN among 180 numbers"),
        (lambda x: brightest_row(x).exp(), r"probabilities that sum to up to .*, not to 1"),
        (lambda x: brightest_row(x) - 0.1, r"\(and down to 0\.9048\), not to 1"),
        (lambda x: [1, 2], r"class_log_probs returned list, not a tensor"),
    ],
)
def test_what_are_no_log_probabilities_is_named(make_subject, function, message):
    with pytest.raises(MetricError, match=message):
        measure(make_subject(Function(function)))


def test_data_without_labels_and_models_that_do_not_classify_are_left_out(make_subject, make_dataset):
    with pytest.raises(NotApplicable, match="no class labels"):
        measure(make_subject(Function(brightest_row), make_dataset(labelled=False)))

    class Copies(Reconstructor):
        def reconstruct(self, x):
            return x

    with pytest.raises(NotApplicable, match="no Classifier"):
        ask(Classification(Classification.Config()), make_subject(Copies()))

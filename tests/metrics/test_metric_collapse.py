import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from genbench.data import Dataset, Split
from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.collapse import LISTED, Collapse
from genbench.model import Conditional, Posterior


class Function(Posterior):
    """Levels that a function of x (and maybe y) gives as pairs of q's and p's (mean, stddev)."""

    def __init__(self, function):
        self.function = function

    def posterior(self, x, y=None):
        levels = self.function(x.flatten(1)) if y is None else self.function(x.flatten(1), y)
        return [(Normal(*q), Normal(*p)) for q, p in levels]


class Labelled(Function, Conditional):
    pass


def standard(like):
    return torch.zeros_like(like), torch.ones_like(like)


def one_level(x):
    """Nine variables: three that follow x, the others as the prior."""
    mean = torch.where(torch.arange(9) < 3, 2 * x, 0 * x)
    return [((mean, torch.where(torch.arange(9) < 3, 0.5, 1.0).expand_as(x)), standard(x))]


def test_a_posterior_that_is_the_prior_has_collapsed(make_subject, by_name):
    got = by_name(Collapse(Collapse.Config()).measure(make_subject(Function(lambda x: [(standard(x), standard(x))]))))
    assert (got.active_units.value, got.kl.value, got.kl.stderr) == (0, 0, 0)
    assert got.kl.settings["levels"] == [
        {"variables": 9, "active_units": 0, "kl": 0.0, "kl_by_variable": [0.0] * 9},
    ]


def test_a_posterior_that_has_collapsed_in_part(make_subject, by_name):
    subject = make_subject(Function(one_level))
    got = by_name(Collapse(Collapse.Config()).measure(subject))
    mean = 2 * subject.test.x().flatten(1)[:, :3].double()
    by_hand = 0.5 * (mean**2 + 0.25 - 1 - math.log(0.25))
    per_point = by_hand.sum(1)
    assert (got.active_units.value, got.active_units.kind, got.active_units.better) == (3, "estimate", "neither")
    assert got.kl.value == pytest.approx(per_point.mean().item(), rel=1e-6)
    assert got.kl.stderr == pytest.approx(per_point.std().item() / math.sqrt(60), rel=1e-6)
    assert (got.kl.unit, got.kl.better) == ("nats", "neither")
    assert got.kl.settings["n"] == 60
    assert got.kl.settings["draws"] == 1
    (level,) = got.kl.settings["levels"]
    expected = sorted(by_hand.mean(0).tolist(), reverse=True) + [0.0] * 6
    assert level["kl_by_variable"] == pytest.approx(expected, rel=1e-3)
    assert sum(level["kl_by_variable"]) == pytest.approx(level["kl"], rel=1e-3)


@pytest.mark.parametrize(("variance", "active"), [(0.0099, 0), (0.0101, 1)])
def test_a_unit_is_active_whose_mean_varies_by_more_than_a_hundredth(make_subject, by_name, variance, active):
    def level(x):
        scaled = x[:, :1] * scale
        return [((scaled, torch.ones_like(scaled)), standard(scaled))]

    subject = make_subject(Function(level))
    scale = (variance / subject.test.x().flatten(1)[:, 0].var()).sqrt()
    assert by_name(Collapse(Collapse.Config()).measure(subject)).active_units.value == active


def test_a_constant_shift_is_divergence_but_no_activity(make_subject, by_name):
    def shifted(x):
        return [((torch.full_like(x, 3.0), torch.ones_like(x)), standard(x))]

    got = by_name(Collapse(Collapse.Config()).measure(make_subject(Function(shifted))))
    assert got.active_units.value == 0
    assert got.kl.value == pytest.approx(9 * 4.5)


def two_levels(x):
    """A top level that follows x in one of four variables, and one beneath it whose mean is the draw alone, which says
    nothing of x."""
    top = torch.where(torch.arange(4) < 1, 2 * x[:, :4], 0 * x[:, :4])
    noise = torch.randn(len(x), 2)
    return [((top, torch.ones_like(top)), standard(top)), ((noise, torch.ones_like(noise)), standard(noise))]


def test_the_noise_of_other_levels_is_no_activity(make_subject, make_dataset, by_name):
    subject = make_subject(Function(two_levels), make_dataset(sizes=(20, 20, 2000)))
    got = by_name(Collapse(Collapse.Config()).measure(subject))
    top, below = got.kl.settings["levels"]
    assert (top["variables"], top["active_units"], below["variables"], below["active_units"]) == (4, 1, 2, 0)
    assert got.active_units.value == 1
    assert got.kl.settings["draws"] == 16
    # E[m²]/2 of either variable is 1/2, over 32,000 draws
    assert below["kl"] == pytest.approx(1.0, abs=5 / math.sqrt(32_000))
    assert got.kl.value == pytest.approx(top["kl"] + below["kl"], rel=1e-3)


def test_noise_does_not_hide_activity(make_subject, make_dataset, by_name):
    def levels(x):
        mean = 0.5 * x[:, :2] + torch.randn(len(x), 2)
        return [(standard(x), standard(x)), ((mean, torch.ones_like(mean)), standard(mean))]

    subject = make_subject(Function(levels), make_dataset(sizes=(20, 20, 2000)))
    got = by_name(Collapse(Collapse.Config()).measure(subject))
    assert [level["active_units"] for level in got.kl.settings["levels"]] == [0, 2]


def test_a_divergence_of_the_models_own_is_taken(make_subject, by_name):
    class Own(Function):
        def divergence(self, x, y=None):
            return [torch.full((len(x), 9), 2.0)]

    assert by_name(Collapse(Collapse.Config()).measure(make_subject(Own(one_level)))).kl.value == 18.0


def test_conditional_models_are_given_the_labels(make_subject, make_dataset, by_name):
    def by_label(x, y):
        mean = y[:, None].double()
        return [((mean, torch.ones_like(mean)), standard(mean))]

    subject = make_subject(Labelled(by_label))
    got = by_name(Collapse(Collapse.Config()).measure(subject))
    assert got.kl.value == pytest.approx(subject.test.y().double().square().mean().item() / 2)
    with pytest.raises(NotApplicable, match="no class labels"):
        Collapse(Collapse.Config()).measure(make_subject(Labelled(by_label), make_dataset(labelled=False)))


def test_what_is_listed_is_limited_and_finite_in_json(make_subject, by_name):
    def many(x):
        mean = x[:, :1].expand(-1, 400) * torch.linspace(0, 1, 400)
        return [((mean, torch.ones_like(mean)), standard(mean))]

    got = by_name(Collapse(Collapse.Config()).measure(make_subject(Function(many))))
    (level,) = got.kl.settings["levels"]
    listed = level["kl_by_variable"]
    assert (level["variables"], len(listed)) == (400, LISTED)
    assert listed == sorted(listed, reverse=True)
    assert all(type(kl) is float for kl in listed)
    assert got.kl.value > sum(listed)


def test_points_are_limited(make_subject, by_name):
    assert by_name(Collapse(Collapse.Config(n=10)).measure(make_subject(Function(one_level)))).kl.settings["n"] == 10


def test_points_that_are_asked_for_in_parts_are_all_measured(make_subject, make_dataset, by_name):
    subject = make_subject(Function(one_level), make_dataset(sizes=(20, 20, 1203)))
    got = by_name(Collapse(Collapse.Config()).measure(subject))
    assert got.kl.settings["n"] == 1203
    mean = 2 * subject.test.x().flatten(1)[:, :3].double()
    assert got.kl.value == pytest.approx(0.5 * (mean**2 - 0.75 + math.log(4)).sum(1).mean().item(), rel=1e-6)


def test_a_single_point_is_refused(make_subject, make_dataset):
    data = make_dataset()
    single = Split(data.test.x[:1], np.asarray(data.test.y[:1]))
    one = Dataset("one", data.spec, data.train, data.validation, single, family="rows")
    with pytest.raises(NotApplicable, match="at least two test points"):
        Collapse(Collapse.Config()).measure(make_subject(Function(one_level), one))


class Broken(Posterior):
    def __init__(self, posterior, divergence):
        self.returned, self.divergences = posterior, divergence

    def posterior(self, x, y=None):
        return self.returned(x)

    def divergence(self, x, y=None):
        return self.divergences(x)


def pair(*shape):
    return Normal(torch.zeros(shape), torch.ones(shape)), Normal(torch.zeros(shape), torch.ones(shape))


@pytest.mark.parametrize(
    ("posterior", "divergence", "message"),
    [
        (lambda x: pair(len(x), 2), lambda x: [], r"Broken\.posterior returned no list of pairs"),
        (lambda x: [x], lambda x: [x], r"Broken\.posterior returned no list of pairs"),
        (lambda x: [pair(len(x), 2)], lambda x: [], r"Broken\.divergence returned no list of 1 tensors"),
        (
            lambda x: [pair(3, 2)],
            lambda x: [torch.zeros(3, 2)],
            r"Broken\.posterior returned shape \(3, 2\), not \(60, any\)",
        ),
        (
            lambda x: [pair(len(x), 2)],
            lambda x: [torch.zeros(len(x))],
            r"Broken\.divergence returned shape \(60,\), not \(60, 2\)",
        ),
        (
            lambda x: [pair(len(x), 2)],
            lambda x: [torch.full((len(x), 2), torch.inf)],
            r"Broken\.divergence returned 120 inf among 120 numbers",
        ),
    ],
)
def test_what_is_no_posterior_is_named(make_subject, posterior, divergence, message):
    with pytest.raises(MetricError, match=message):
        Collapse(Collapse.Config()).measure(make_subject(Broken(posterior, divergence)))

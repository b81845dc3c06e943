import numpy as np
import pytest
import torch

from genbench.metrics import MetricError
from genbench.metrics.base import checked, choose, in_chunks, seeded

CPU = torch.device("cpu")


def test_chosen_points_are_the_first_of_one_random_order(make_subject):
    split = make_subject(None).test
    every = choose(split)
    assert sorted(every.tolist()) == list(range(60))
    assert every.tolist() != list(range(60))
    assert torch.equal(choose(split, 7), every[:7])
    assert torch.equal(choose(split, 1000), every)


def test_chosen_points_do_not_depend_on_torchs_seed_and_leave_it_alone(make_subject):
    split = make_subject(None).train
    torch.manual_seed(3)
    first = choose(split)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.rand(1) == drawn
    assert torch.equal(choose(split), first)


def test_chosen_points_are_not_those_that_a_runs_seed_draws(make_subject):
    split = make_subject(None).train
    for seed in range(10):
        torch.manual_seed(seed)
        assert not torch.equal(choose(split), torch.randperm(len(split)))


def test_seeded_draws_are_repeatable_and_leave_no_trace():
    torch.manual_seed(1)
    after = torch.rand(2)
    torch.manual_seed(1)
    with seeded(5, CPU):
        first = torch.rand(3)
    assert torch.equal(torch.rand(2), after)
    with seeded(5, CPU):
        assert torch.equal(torch.rand(3), first)


def test_chunks_are_put_together_in_order():
    sizes = []

    def double(x):
        sizes.append(len(x))
        return 2 * x

    assert torch.equal(in_chunks(double, torch.arange(10), 4), 2 * torch.arange(10))
    assert sizes == [4, 4, 2]


def test_what_is_as_it_should_be_is_passed_on():
    value = torch.zeros(3, 7)
    assert checked(object(), "encode", value, (3, None)) is value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 2)), "returned ndarray, not a tensor"),
        (torch.zeros(3), r"returned shape \(3,\), not \(3, any\)"),
        (torch.zeros(4, 2), r"returned shape \(4, 2\), not \(3, any\)"),
        (torch.tensor([[1.0], [torch.inf], [torch.nan]]), "returned 1 NaN, 1 inf among 3 numbers"),
    ],
)
def test_what_is_not_is_refused_by_name(value, message):
    with pytest.raises(MetricError, match=r"object\.encode " + message):
        checked(object(), "encode", value, (3, None))

import itertools
import math

import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Split, ViewOptions, apply_view
from genbench.data.device import DeviceSplit

CPU = torch.device("cpu")


def counted(n: int = 10, levels: int = 256) -> Dataset:
    """Point i has the level i in all of its pixels and the label i."""
    x = np.repeat(np.arange(n, dtype=np.uint8), 4).reshape(n, 1, 2, 2)
    split = Split(x, np.arange(n))
    return Dataset("counted", DataSpec((1, 2, 2), "discrete", levels, n), split, split, split, family="counted")


def plane(n: int = 10) -> Dataset:
    split = Split(np.arange(2 * n, dtype=np.float32).reshape(n, 2))
    return Dataset("plane", DataSpec((2,), "continuous"), split, split, split, family="plane")


def test_levels_are_presented_as_exact_fractions() -> None:
    for levels in range(2, 257):
        n = min(levels, 256)
        x = DeviceSplit(counted(n, levels), "train", CPU).x()[:, 0, 0, 0]
        assert x.dtype == torch.float32
        assert torch.equal(x, torch.arange(n) / (levels - 1))


def test_batches_hold_the_points_and_labels_asked_for() -> None:
    split = DeviceSplit(counted(), "test", CPU)
    batch = split.batch(torch.tensor([7, 2, 2]))
    assert torch.equal(batch.x * 255, torch.tensor([7.0, 2.0, 2.0])[:, None, None, None].expand(3, 1, 2, 2))
    assert torch.equal(batch.y, torch.tensor([7, 2, 2]))


def test_continuous_data_is_presented_as_it_is_and_has_no_labels() -> None:
    split = DeviceSplit(plane(), "train", CPU)
    assert torch.equal(split.x(3), torch.arange(6.0).view(3, 2))
    assert split.y() is None
    assert split.batch(torch.tensor([0])).y is None


@pytest.mark.parametrize("dataset", [counted(), plane()])
def test_writing_into_what_is_handed_out_changes_no_data(dataset: Dataset) -> None:
    split = DeviceSplit(dataset, "test", CPU)
    before = split.x().clone()
    split.x().zero_()
    split.batch(torch.arange(3)).x.zero_()
    next(split.chunks(4)).x.zero_()
    assert torch.equal(split.x(), before)


def test_chunks_go_through_the_split_in_order() -> None:
    split = DeviceSplit(counted(), "validation", CPU)
    chunks = list(split.chunks(4))
    assert [len(chunk.x) for chunk in chunks] == [4, 4, 2]
    assert torch.equal(torch.cat([chunk.x for chunk in chunks]), split.x())
    assert torch.equal(torch.cat([chunk.y for chunk in chunks]), torch.arange(10))


def test_limits_take_the_first_points() -> None:
    split = DeviceSplit(counted(), "test", CPU)
    assert torch.equal(split.x(3), split.x()[:3])
    assert torch.equal(split.y(3), torch.arange(3))
    assert len(split) == len(split.y()) == 10


def orders(seed: int, batch_size: int | None, batches: int) -> list[list[int]]:
    split = DeviceSplit(counted(), "train", CPU)
    stream = split.shuffled(batch_size, torch.Generator().manual_seed(seed))
    return [batch.y.tolist() for batch in itertools.islice(stream, batches)]


def test_the_generator_alone_decides_the_order() -> None:
    first = orders(0, 4, 6)
    torch.manual_seed(123)
    assert orders(0, 4, 6) == first
    assert orders(1, 4, 6) != first


def test_an_epoch_shows_a_point_at_most_once_and_every_epoch_is_new() -> None:
    batches = orders(0, 4, 6)
    assert all(len(batch) == 4 for batch in batches)
    epochs = [batches[0] + batches[1], batches[2] + batches[3], batches[4] + batches[5]]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("batch_size", [None, 10, 99])
def test_a_batch_is_at_most_the_whole_split(batch_size: int | None) -> None:
    assert [sorted(batch) for batch in orders(0, batch_size, 2)] == [list(range(10))] * 2


def test_arrays_that_are_read_only_or_strided_are_taken() -> None:
    x = np.zeros((4, 2, 2, 1), np.uint8)
    x[1, 0, 1, 0] = 1
    x.flags.writeable = False
    split = Split(x.transpose(0, 3, 1, 2)[::-1])
    dataset = Dataset("views", DataSpec((1, 2, 2), "binary", 2), split, split, split, family="views")
    assert torch.equal(DeviceSplit(dataset, "test", CPU).x().nonzero(), torch.tensor([[2, 0, 0, 1]]))


def dynamic(n: int = 17) -> Dataset:
    return apply_view(counted(n, n), ViewOptions(binarize="dynamic"))


def test_dynamic_training_pixels_are_drawn_with_the_grey_level_as_probability() -> None:
    torch.manual_seed(0)
    split = DeviceSplit(dynamic(), "train", CPU)
    draws = 500
    x = torch.stack([split.x() for _ in range(draws)])
    assert set(x.unique().tolist()) == {0.0, 1.0}
    rate = x.double().mean(dim=(0, 2, 3, 4))
    p = torch.arange(17, dtype=torch.float64) / 16
    assert rate[0] == 0
    assert rate[-1] == 1
    assert ((rate - p).abs() <= 5 * torch.sqrt(p * (1 - p) / (4 * draws))).all()


def test_dynamic_pixels_are_drawn_independently_of_each_other() -> None:
    torch.manual_seed(0)
    split = DeviceSplit(dynamic(), "train", CPU)
    draws = 2000
    half = torch.stack([split.batch(torch.tensor([8])).x.flatten() for _ in range(draws)])
    correlation = torch.corrcoef(half.T)[~torch.eye(4, dtype=torch.bool)]
    assert correlation.abs().max() < 5 / math.sqrt(draws)


def test_dynamic_draws_are_new_at_every_access_and_follow_torchs_seed() -> None:
    split = DeviceSplit(dynamic(), "train", CPU)
    index = torch.arange(17)
    torch.manual_seed(5)
    first, second = split.batch(index).x, split.batch(index).x
    torch.manual_seed(5)
    assert torch.equal(split.batch(index).x, first)
    assert not torch.equal(first, second)


def test_dynamic_validation_and_test_pixels_never_change() -> None:
    dataset = dynamic()
    for name in ("validation", "test"):
        split = DeviceSplit(dataset, name, CPU)
        assert torch.equal(split.x(), split.x())
        assert np.array_equal(split.x().numpy(), getattr(dataset, name).x)

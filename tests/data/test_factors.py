from dataclasses import replace

import numpy as np
import pytest

from genbench.data import Dataset, DataSpec, Split, ViewOptions, apply_view

NAMES = ("row", "column")


def a_split(n: int = 12) -> Split:
    index = np.arange(n)
    x = np.repeat(index % 4, 4).astype(np.uint8).reshape(n, 1, 2, 2)
    return Split(x, index % 3, np.stack([index // 2, index], axis=1))


def a_dataset(**changes: object) -> Dataset:
    spec = DataSpec((1, 2, 2), "discrete", levels=4, num_classes=3)
    whole = Dataset("toy", spec, a_split(), a_split(6), a_split(9), family="toy", factor_names=NAMES)
    return replace(whole, **changes)


def without_factors() -> Dataset:
    whole = a_dataset()
    bare = {name: replace(getattr(whole, name), factors=None) for name in ("train", "validation", "test")}
    return replace(whole, factor_names=(), **bare)


def test_a_dataset_needs_no_factors() -> None:
    assert without_factors().factor_names == ()
    assert without_factors().train.factors is None


def test_the_fingerprint_of_a_dataset_without_factors_is_what_it_was() -> None:
    assert without_factors().fingerprint == "893cab5da000980e"


def test_factors_and_their_names_are_part_of_the_fingerprint() -> None:
    split = a_split()
    others = [
        without_factors(),
        a_dataset(),
        a_dataset(train=replace(split, factors=split.factors + 1)),
        a_dataset(factor_names=("column", "row")),
        a_dataset(categorical_factors=("row",)),
    ]
    assert len({dataset.fingerprint for dataset in others}) == len(others)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"test": replace(a_split(), factors=None)}, "test has no factors, factor_names has some"),
        ({"factor_names": ()}, "train has factors without factor_names"),
        (
            {"validation": replace(a_split(), factors=a_split().factors[1:])},
            r"validation .* shape \(11, 2\)",
        ),
        ({"train": replace(a_split(), factors=a_split().factors[:, :1])}, r"\(12, 1\), .* \(12, 2\)"),
        ({"train": replace(a_split(), factors=a_split().factors * 1.0)}, "train has float64 factors"),
        ({"factor_names": ("row", "row")}, "two factors have one name: row, row"),
        ({"categorical_factors": ("colour",)}, "no factor is called colour"),
    ],
)
def test_factors_that_do_not_fit_are_refused_by_name(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        a_dataset(**changes)


def test_a_part_of_a_split_keeps_all_that_is_known_of_its_points() -> None:
    part = a_split().at(np.array([5, 2]))
    assert part.y.tolist() == [2, 2]
    assert part.factors.tolist() == [[2, 5], [1, 2]]
    assert part.x[:, 0, 0, 0].tolist() == [1, 2]
    assert Split(a_split().x).at(np.arange(12) < 4).factors is None


@pytest.mark.parametrize("binarize", ["threshold", "static", "dynamic"])
def test_binary_views_keep_the_factors(binarize: str) -> None:
    view = apply_view(a_dataset(categorical_factors=("row",)), ViewOptions(binarize=binarize))
    assert (view.factor_names, view.categorical_factors) == (NAMES, ("row",))
    assert np.array_equal(view.test.factors, a_split(9).factors)


def test_holding_out_a_class_keeps_the_factors_of_the_points_that_stay() -> None:
    view = apply_view(a_dataset(), ViewOptions(holdout=1))
    assert view.train.factors[:, 1].tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
    assert view.anomalies.factors[:, 1].tolist() == [1, 4, 7]

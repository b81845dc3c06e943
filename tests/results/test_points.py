"""Pseudo-values survive being packed into a record."""

import numpy as np
import pytest

from genbench.results.points import packed, unpacked


def test_packed_values_come_back_to_1_in_254_of_the_largest_deviation():
    points = np.random.default_rng(0).normal(-90.0, 3.0, 100)
    text = packed(points)
    back = np.array(unpacked(text))
    assert len(text) <= 160
    assert np.abs(back - points).max() <= np.abs(points - points.mean()).max() / 254 * (1 + 1e-9)
    assert back.var() == pytest.approx(points.var(), rel=1e-2)


@pytest.mark.parametrize("points", [[], [3.0], [2.0, 2.0], [1e150, -1e150]])
def test_few_equal_and_huge_values_come_back(points):
    assert unpacked(packed(points)) == pytest.approx(points)


@pytest.mark.parametrize("text", ["AAAA", "A", "????", "AAAAAAAAAAAAAAAAAAAAAA=="])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        unpacked(text)

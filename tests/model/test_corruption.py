import math

import pytest
import torch

from genbench.model import DataSpec, UnsupportedData, check_corruption, corrupt

N = 40_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def grey():
    """Points `(40000, 2)` strictly between 0 and 1, so that every hit shows."""
    return 0.1 + 0.8 * torch.rand(N, 2, generator=generator(1))


def test_gaussian_noise_has_its_standard_deviation_and_may_leave_the_range():
    x = grey()
    noise = (corrupt(x, "gaussian", 0.4, generator()) - x).double()
    # a standard deviation of n draws is known to 1/sqrt(2n), a mean to 1/sqrt(n), of the standard deviation
    assert float(noise.std()) == pytest.approx(0.4, abs=5 * 0.4 / math.sqrt(4 * N))
    assert float(noise.mean()) == pytest.approx(0, abs=5 * 0.4 / math.sqrt(2 * N))
    assert abs(float(torch.corrcoef(noise.T)[0, 1])) < 5 / math.sqrt(N)
    assert float((x + noise).min()) < 0
    assert float((x + noise).max()) > 1


def test_masking_sets_dimensions_to_0_and_leaves_the_others_alone():
    x = grey()
    noisy = corrupt(x, "masking", 0.3, generator())
    hit = noisy == 0
    assert torch.equal(noisy[~hit], x[~hit])
    assert float(hit.double().mean()) == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / (2 * N)))
    both = float(hit.all(1).double().mean())
    assert both == pytest.approx(0.09, abs=5 * math.sqrt(0.09 * 0.91 / N))


def test_salt_and_pepper_share_their_rate():
    x = grey()
    noisy = corrupt(x, "salt-and-pepper", 0.3, generator())
    salt, pepper = noisy == 1, noisy == 0
    assert torch.equal(noisy[~(salt | pepper)], x[~(salt | pepper)])
    for hit in (salt, pepper):
        assert float(hit.double().mean()) == pytest.approx(0.15, abs=5 * math.sqrt(0.15 * 0.85 / (2 * N)))


@pytest.mark.parametrize("corruption", ["gaussian", "masking", "salt-and-pepper"])
def test_what_noise_is_drawn_is_the_generator_s(corruption):
    x = grey()[:50].double()
    before = torch.get_rng_state()
    first, second, other = (corrupt(x, corruption, 0.3, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.dtype == x.dtype
    torch.manual_seed(5)
    drawn = corrupt(x, corruption, 0.3)
    torch.manual_seed(5)
    assert torch.equal(corrupt(x, corruption, 0.3), drawn)
    assert not torch.equal(corrupt(x, corruption, 0.3), drawn)


@pytest.mark.parametrize("corruption", ["gaussian", "masking", "salt-and-pepper"])
def test_nothing_of_it_changes_nothing_and_the_data_is_left_alone(corruption):
    x = grey()[:50]
    kept = x.clone()
    assert torch.equal(corrupt(x, corruption, 0.0), x)
    corrupt(x, corruption, 0.9)
    assert torch.equal(x, kept)


def test_all_of_it_leaves_nothing():
    x = grey()[:50]
    assert float(corrupt(x, "masking", 1.0).abs().max()) == 0
    assert set(corrupt(x, "salt-and-pepper", 1.0).unique().tolist()) == {0.0, 1.0}


def test_continuous_data_has_no_salt_and_pepper():
    continuous, binary = DataSpec((3,), "continuous"), DataSpec((3,), "binary", levels=2)
    with pytest.raises(UnsupportedData, match=r"needs data in \[0, 1\]"):
        check_corruption(continuous, "salt-and-pepper")
    for corruption in ("gaussian", "masking"):
        check_corruption(continuous, corruption)
    check_corruption(binary, "salt-and-pepper")

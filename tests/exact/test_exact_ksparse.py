"""What the k-sparse autoencoder keeps, against sorting; and the autoencoder that it is with nothing cut."""

import numpy as np
import pytest
import torch

from genbench.model import Batch, DataSpec
from genbench_ae.ae import AE
from genbench_ae.ksparse_ae import KSparseAE

DIGITS = DataSpec((1, 8, 8), "discrete", levels=17)


def model(k, latent_dim=12, cls=KSparseAE, **options):
    torch.manual_seed(3)
    sizes = {"k": k} if cls is KSparseAE else {}
    return cls(DIGITS, cls.Config(latent_dim=latent_dim, **sizes, **options))


@pytest.mark.parametrize("k", [1, 4, 11, 12])
def test_the_largest_are_kept_as_they_are(k):
    z = torch.randn(50, 12, generator=torch.Generator().manual_seed(0))
    cut = model(k).cut(z).numpy()
    for row, kept in zip(z.numpy(), cut, strict=True):
        largest = np.sort(np.argsort(row)[-k:])
        assert np.flatnonzero(kept).tolist() == largest.tolist()
        assert kept[largest].tolist() == row[largest].tolist()


def test_the_largest_are_not_those_of_largest_magnitude():
    z = torch.tensor([[-5.0, 1.0, -3.0, 2.0] + [-9.0] * 8])
    assert model(2).cut(z)[0].tolist() == [0, 1, 0, 2] + [0] * 8


@pytest.mark.parametrize("k", [1, 5, 12])
def test_ties_still_give_k(k):
    assert model(k).cut(torch.ones(3, 12)).sum(1).tolist() == [k] * 3
    assert model(k).cut(-torch.ones(3, 12)).sum(1).tolist() == [-k] * 3


def test_cutting_twice_is_cutting_once_with_negative_numbers_too():
    """A zero is no candidate, although it is larger than a negative number that was kept."""
    z = torch.randn(200, 12, generator=torch.Generator().manual_seed(0)) - 2
    cut = model(5).cut(z)
    assert bool((cut < 0).any())
    assert torch.equal(model(5).cut(cut), cut)


@pytest.mark.parametrize("options", [{"layers": 0, "nodes": "1"}, {"nodes": "30-20", "layers": 2}])
def test_with_every_number_kept_it_is_the_autoencoder_bit_for_bit(options):
    x = torch.randint(17, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 16
    states = []
    for cls in (KSparseAE, AE):
        each = model(12, cls=cls, network="mlp", **options)
        losses = [float(each.update(Batch(x), step / 10)["loss"]) for step in range(10)]
        states.append((losses, each.state_dict()))
    assert states[0][0] == states[1][0]
    assert all(torch.equal(states[0][1][name], value) for name, value in states[1][1].items())
    fewer = model(11, network="mlp", **options)
    assert float(fewer.update(Batch(x), 0.0)["loss"]) != states[0][0][0]

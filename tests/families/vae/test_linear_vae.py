import math
from pathlib import Path

import pytest
import torch

from genbench.data import Options
from genbench.data.device import DeviceSplit
from genbench.model import Batch, DataSpec, dequantize
from genbench_ae.ppca import PPCA
from genbench_datasets.digits import Digits
from genbench_vae.linear_vae import LinearVAE

BITS = 1 / (64 * math.log(2))


@pytest.fixture(scope="module")
def digits():
    dataset = Digits(Options(), Path()).load()
    return [DeviceSplit(dataset, name, torch.device("cpu")) for name in ("train", "test")]


def build(data, **options):
    torch.manual_seed(0)
    return LinearVAE(data, LinearVAE.Config(**options))


def test_defaults_come_near_ppca_of_the_same_size_on_digits(digits):
    train, test = digits
    spec = DataSpec((1, 8, 8), "discrete", levels=17)
    ppca = PPCA(spec, PPCA.Config(latent_dim=16))
    ppca.update(Batch(train.x()), 0.0)
    model = build(spec)
    batches = train.shuffled(model.batch_size, torch.Generator().manual_seed(0))
    model.setup(next(batches))
    model.train()
    steps = 1000
    for step in range(steps):
        model.update(next(batches), step / steps)
    torch.manual_seed(1)
    with torch.no_grad():
        elbo = float(model.eval().log_weights(test.x(), 20).mean())
        log_p = float(ppca.log_prob(dequantize(test.x().repeat(20, 1, 1, 1), 17)).mean()) - 64 * math.log(17)
    assert 0 < (log_p - elbo) * BITS < 0.02


def test_setup_takes_mean_and_spread_from_the_data():
    model = build(DataSpec((3,), "continuous"))
    torch.manual_seed(1)
    x = torch.randn(1000, 3) * 2 + torch.tensor([1.0, 2.0, 3.0])
    model.setup(Batch(x))
    torch.testing.assert_close(model.mean, x.mean(0))
    # a standard deviation of 3000 numbers is known to 1/sqrt(6000) of itself
    assert float(model.log_noise.exp().detach()) == pytest.approx(2, rel=5 / 6000**0.5)


@torch.no_grad()
@pytest.mark.parametrize(
    "data", [DataSpec((2, 3, 3), "discrete", 9), DataSpec((1, 4, 4), "binary", 2)], ids=["grey", "bits"]
)
def test_dequantised_data_is_drawn_anew_and_encoded_at_the_centres_of_bins(data):
    model = build(data, latent_dim=3).eval()
    x = torch.zeros(5, *data.shape)
    means = torch.stack([model.posterior(x)[0][0].mean for _ in range(3000)])
    assert float(means.std(0).min()) > 0
    error = (means.mean((0, 1)) - model.encode(x)[0]).abs()
    assert bool((error < 5 * means.flatten(0, 1).std(0) / 15_000**0.5).all())
    weights = model.log_weights(x, 4)
    assert len(weights.unique()) == 20
    assert torch.equal(model.encode(x), model.encode(x))


@torch.no_grad()
def test_the_posteriors_spread_is_that_of_all_points():
    model = build(DataSpec((4,), "continuous"), latent_dim=2)
    model.log_std.copy_(torch.tensor([-1.0, 0.5]))
    [(q, p)] = model.posterior(torch.randn(6, 4))
    torch.testing.assert_close(q.stddev, torch.tensor([-1.0, 0.5]).exp().expand(6, 2))
    assert torch.equal(p.mean, torch.zeros(6, 2))
    assert torch.equal(p.stddev, torch.ones(6, 2))


def test_data_in_a_subspace_leaves_all_finite():
    """There the likelihood has no maximum: the noise goes to zero, and stops at its bound."""
    torch.manual_seed(3)
    x = torch.randn(256, 1) @ torch.randn(1, 4)
    model = build(DataSpec((4,), "continuous"), latent_dim=2, schedule="constant", learning_rate=0.1)
    model.setup(Batch(x))
    for _ in range(300):
        scalars = model.update(Batch(x), 0.0)
    assert math.isfinite(float(scalars["loss"]))
    with torch.no_grad():
        assert bool(torch.isfinite(model.eval().log_weights(x, 3)).all())

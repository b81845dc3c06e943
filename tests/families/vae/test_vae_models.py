import copy
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import genbench_vae
from genbench.data import Options
from genbench.data.device import DeviceSplit
from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_datasets.digits import Digits
from genbench_vae.beta_vae import BetaVAE
from genbench_vae.iwae import IWAE
from genbench_vae.linear_vae import LinearVAE
from genbench_vae.vae import VAE

IMAGES = {
    "digits": DataSpec((1, 8, 8), "discrete", levels=17),
    "odd": DataSpec((1, 7, 9), "discrete", levels=4),
    "mnist": DataSpec((1, 28, 28), "binary", levels=2),
    "colour": DataSpec((3, 32, 32), "discrete", levels=256),
    "real": DataSpec((3, 8, 8), "continuous"),
    "pixel": DataSpec((1, 1, 1), "binary", levels=2),
}
VECTORS = {
    "plane": DataSpec((2,), "continuous"),
    "bits": DataSpec((20,), "binary", levels=2),
    "counts": DataSpec((6,), "discrete", levels=10),
}
MODELS = [VAE, BetaVAE, IWAE, LinearVAE]
CASES = [(cls, name) for cls in MODELS for name in (*IMAGES, *VECTORS)]


def data_points(spec, n=12):
    torch.manual_seed(0)
    if spec.levels is None:
        return torch.randn(n, *spec.shape)
    return torch.randint(spec.levels, (n, *spec.shape)).float() / (spec.levels - 1)


def build(cls, spec, **options):
    torch.manual_seed(1)
    cls.check_data(spec)
    return cls(spec, cls.Config(**options))


def trained(cls, spec, steps=2, **options):
    model = build(cls, spec, **options)
    batch = Batch(data_points(spec))
    model.setup(batch)
    model.train()
    for step in range(steps):
        model.update(batch, step / steps)
    return model.eval()


@pytest.fixture(scope="module")
def digits():
    dataset = Digits(Options(), Path()).load()
    return [DeviceSplit(dataset, name, torch.device("cpu")) for name in ("train", "test")]


def test_the_package_lists_its_models_without_importing_torch():
    code = (
        "import sys, genbench_vae; names = ' '.join(m.name for m in genbench_vae.genbench_models()); "
        "assert names == 'vae beta_vae iwae linear_vae cvae ssvae hvae ladder_vae vqvae', names; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert genbench_vae.GENBENCH_API == 1


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_every_shape_and_kind_is_trained_scored_and_sampled(cls, name):
    spec = {**IMAGES, **VECTORS}[name]
    model = build(cls, spec)
    batch = Batch(data_points(spec))
    model.setup(batch)
    model.train()
    for progress in (0.0, 0.5, 1.0):
        scalars = model.update(batch, progress)
        assert all(value.shape == () and not value.requires_grad for value in scalars.values())
        assert math.isfinite(float(scalars["loss"]))
    model.eval()
    with torch.no_grad():
        weights = model.log_weights(batch.x, 3)
        codes, restored, samples = model.encode(batch.x), model.reconstruct(batch.x), model.sample(5)
        loss = model.validation_loss(batch)
    assert weights.shape == (3, 12)
    assert bool(torch.isfinite(weights).all())
    assert codes.shape == (12, codes.shape[1])
    assert restored.shape == batch.x.shape
    assert samples.shape == (5, *spec.shape)
    assert loss.shape == ()
    assert {t.dtype for t in (weights, codes, restored, samples, loss)} == {torch.float32}
    if spec.levels is not None:
        assert float(weights.mean()) < 0
        levels = samples * (spec.levels - 1)
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
        assert 0 <= float(samples.min()) <= float(samples.max()) <= 1


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_a_reconstruction_is_the_decoded_code(cls, name):
    spec = {**IMAGES, **VECTORS}[name]
    model = trained(cls, spec)
    x = data_points(spec)
    with torch.no_grad():
        codes, restored = model.encode(x), model.reconstruct(x)
        assert torch.equal(model.decode(codes), restored)
        if name != "pixel":  # whose twelve values may be the same backwards
            assert not torch.equal(model.decode(codes.flip(0)), restored)


@pytest.mark.parametrize("cls", MODELS)
def test_a_checkpoint_restores_scores_codes_and_samples(cls):
    model = trained(cls, IMAGES["digits"])
    torch.manual_seed(9)
    other = cls(IMAGES["digits"], model.config)
    other.load_state_dict(model.state_dict())
    other.eval()
    x = data_points(IMAGES["digits"])
    results = []
    with torch.no_grad():
        for each in (model, other):
            torch.manual_seed(2)
            results.append((each.log_weights(x, 4), each.encode(x), each.reconstruct(x), each.sample(7)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("cls", MODELS)
def test_a_copy_made_before_training_trains_alike(cls):
    model = build(cls, IMAGES["digits"])
    batch = Batch(data_points(IMAGES["digits"]))
    model.setup(batch)
    other = copy.deepcopy(model)
    for each in (model, other):
        torch.manual_seed(3)
        for progress in (0.0, 0.5):
            each.update(batch, progress)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("cls", MODELS)
def test_training_in_half_precision_stays_finite(cls):
    model = build(cls, IMAGES["digits"])
    batch = Batch(data_points(IMAGES["digits"]))
    model.setup(batch)
    model.train()
    for progress in (0.0, 0.3, 0.6):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scalars = model.update(batch, progress)
        assert math.isfinite(float(scalars["loss"]))
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert bool(torch.isfinite(model.eval().log_weights(batch.x, 2)).all())


@pytest.mark.parametrize("cls", MODELS)
def test_scoring_and_sampling_change_nothing(cls):
    model = trained(cls, IMAGES["digits"])
    before = copy.deepcopy(model.state_dict())
    x = data_points(IMAGES["digits"])
    with torch.no_grad():
        model.validation_loss(Batch(x))
        model.log_weights(x, 2)
        model.sample(3)
        model.reconstruct(x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("cls", MODELS)
def test_setup_starts_from_the_data(cls):
    """Before the first step the decoder has each pixel's mean, roughly, as weights are random."""
    spec = IMAGES["digits"]
    x = data_points(spec, 200) * torch.linspace(0, 1, 8).mul(16).round().div(16)
    x = torch.round(x * 16) / 16
    model = build(cls, spec).eval()
    model.setup(Batch(x))
    with torch.no_grad():
        torch.testing.assert_close(model.reconstruct(x).mean(0), x.mean(0), rtol=0, atol=0.05)


@pytest.mark.parametrize("network", ["conv", "mlp"])
def test_vae_networks(network):
    model = trained(VAE, IMAGES["digits"], network=network, latent_dim=3)
    z = model.prior().sample((4,))
    assert z.shape == (4, 3)
    with torch.no_grad():
        assert model.decode(z).shape == (4, 1, 8, 8)
        assert model.observation(z).log_prob(data_points(IMAGES["digits"], 4)).shape == (4,)
    assert (network == "conv") == any(isinstance(layer, torch.nn.Conv2d) for layer in model.modules())


def test_images_only():
    with pytest.raises(UnsupportedData, match="needs images"):
        build(VAE, VECTORS["plane"], network="conv")


@pytest.mark.parametrize(("cls", "steps", "bound"), [(VAE, 250, 2.42)])
def test_defaults_beat_independent_pixels_on_digits(digits, cls, steps, bound):
    """2.42 bits/dim is what independent pixels reach on the test split."""
    train, test = digits
    model = build(cls, IMAGES["digits"])
    batches = train.shuffled(model.batch_size, torch.Generator().manual_seed(0))
    model.setup(next(batches))
    scale = 1 / (64 * math.log(2))
    with torch.no_grad():
        start = float(model.eval().validation_loss(Batch(test.x()))) * scale
    model.train()
    for step in range(steps):
        model.update(next(batches), step / steps)
    with torch.no_grad():
        bits = float(-model.eval().log_weights(test.x(), 4).mean()) * scale
    assert bits < bound < start

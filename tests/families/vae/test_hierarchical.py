import copy
import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from genbench.data import Options
from genbench.data.device import DeviceSplit
from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_datasets.digits import Digits
from genbench_vae.hvae import HVAE
from genbench_vae.ladder_vae import LadderVAE

SPECS = {
    "digits": DataSpec((1, 8, 8), "discrete", levels=17),
    "mnist": DataSpec((1, 28, 28), "binary", levels=2),
    "grey": DataSpec((1, 28, 28), "discrete", levels=256),
    "colour": DataSpec((3, 32, 32), "discrete", levels=256),
    "real": DataSpec((3, 8, 8), "continuous"),
    "pixel": DataSpec((1, 1, 1), "binary", levels=2),
    "plane": DataSpec((2,), "continuous"),
    "bits": DataSpec((20,), "binary", levels=2),
}
DIGITS = SPECS["digits"]
MODELS = pytest.mark.parametrize("cls", [HVAE, LadderVAE])


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, more of them only wait for each other
    yield
    torch.set_num_threads(threads)


def data_points(spec, n=12):
    torch.manual_seed(0)
    if spec.levels is None:
        return torch.randn(n, *spec.shape)
    return torch.randint(spec.levels, (n, *spec.shape)).float() / (spec.levels - 1)


def build(cls, spec=DIGITS, **options):
    torch.manual_seed(1)
    model = cls(spec, cls.Config(**options))
    model.setup(Batch(data_points(spec)))
    return model.train()


def trained(cls, spec=DIGITS, steps=2, **options):
    model = build(cls, spec, **options)
    for step in range(steps):
        model.update(Batch(data_points(spec)), step / steps)
    return model.eval()


@MODELS
@pytest.mark.parametrize("name", SPECS)
def test_every_shape_and_kind_is_trained_scored_and_sampled(cls, name):
    spec = SPECS[name]
    model = build(cls, spec)
    batch = Batch(data_points(spec))
    for progress in (0.0, 0.5):
        scalars = model.update(batch, progress)
        assert {"loss", "nll", "kl", "kl_1", "kl_2"} == set(scalars)
        assert all(value.shape == () and math.isfinite(value) for value in scalars.values())
    model.eval()
    with torch.no_grad():
        weights, samples, code = model.log_weights(batch.x, 3), model.sample(5), model.encode(batch.x)
        restored = model.reconstruct(batch.x)
        z = model.prior().sample((4,))
        assert z.shape == (4, 24)
        assert model.observation(z).log_prob(batch.x[:4]).shape == (4,)
        assert torch.equal(model.decode(code), restored)
        posterior = model.posterior(batch.x)
    assert weights.shape == (3, 12)
    assert bool(weights.isfinite().all())
    assert restored.shape == batch.x.shape
    assert samples.shape == (5, *spec.shape)
    assert [(q.mean.shape, p.mean.shape) for q, p in posterior] == [((12, 8),) * 2, ((12, 16),) * 2]
    assert {t.dtype for t in (weights, samples, code, restored)} == {torch.float32}
    if spec.levels is not None:
        levels = samples * (spec.levels - 1)
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)


@MODELS
@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, (16, 8)),
        ({"levels": 3}, (16, 8, 4)),
        ({"levels": 4, "latent_dim": 3}, (3, 1, 1, 1)),
        ({"levels": 3, "latent_dim": 5, "above": "7-2"}, (5, 7, 2)),
        ({"levels": 1}, (16,)),
    ],
)
def test_sizes(cls, options, sizes):
    model = trained(cls, **options)
    x = data_points(DIGITS)
    assert model.sizes == sizes
    with torch.no_grad():
        assert model.encode(x).shape == (12, sum(sizes))
        assert [part.shape[1] for part in model.divergence(x)] == list(reversed(sizes))
        assert model.sample(2).shape == (2, 1, 8, 8)


@MODELS
def test_sizes_that_are_not_as_many_as_levels_are_refused(cls):
    with pytest.raises(ValidationError, match="above=8-4 makes 3 levels with the first, levels=2"):
        cls.Config(above="8-4")
    with pytest.raises(UnsupportedData, match="needs images"):
        cls(SPECS["plane"], cls.Config(network="conv"))


def test_a_single_data_point_cannot_be_normalised():
    with pytest.raises(ValidationError, match="batch_size of at least 2"):
        LadderVAE.Config(batch_size=1)
    model = trained(LadderVAE, batch_size=1, batch_norm=False)
    assert not any(isinstance(module, torch.nn.BatchNorm1d) for module in model.modules())


@MODELS
def test_scores_do_not_depend_on_the_batch(cls):
    """Every draw is followed on its own: the noise of one point makes the same of it beside any others."""
    model = trained(cls, steps=20, levels=3)
    x = data_points(DIGITS)
    with torch.no_grad():

        def weights(x):
            offset = torch.linspace(-1, 1, 16)  # in place of noise
            levels = model.infer(model.climb(x), lambda q: q.mean + q.stddev * offset[: q.mean.shape[1]])
            ratios = sum((p.log_prob(z) - q.log_prob(z)).sum(1) for q, p, z in levels)
            return model.given_first(levels[-1].z).log_prob(x) + ratios

        together = weights(x)
        torch.testing.assert_close(together, torch.cat([weights(each) for each in x.split(1)]), rtol=1e-5, atol=1e-3)
        assert together.std() > 1


@MODELS
def test_draws_of_a_point_are_as_if_it_had_been_asked_for_often(cls):
    model = trained(cls)
    x = data_points(DIGITS)
    with torch.no_grad():
        torch.manual_seed(4)
        at_once = model.log_weights(x, 3)
        torch.manual_seed(4)
        repeated = model.log_weights(x.repeat(3, 1, 1, 1), 1).view(3, 12)
    torch.testing.assert_close(at_once, repeated)


@MODELS
def test_the_code_is_the_noise_of_the_way_down(cls):
    """Going down with it meets the means of the posterior; a variable that has the mean of its prior has the code 0."""
    model = trained(cls, levels=3)
    x = data_points(DIGITS)
    with torch.no_grad():
        levels = model.infer(model.climb(x), lambda q: q.mean)
        direct = model.given_first(levels[-1].z).mean
        torch.testing.assert_close(model.reconstruct(x), direct, rtol=1e-4, atol=1e-5)
        noise = torch.zeros(1, 28)
        value = noise[:, :4]
        for level in (1, 0):
            value = model.generate(level, value).mean
        torch.testing.assert_close(model.decode(noise), model.given_first(value).mean)
        top = model.prior().sample((2,))
        changed = top.clone()
        changed[:, 0] += 2
        assert not torch.equal(model.decode(top), model.decode(changed))


@MODELS
def test_a_checkpoint_restores_scores_codes_and_samples(cls):
    model = trained(cls, steps=5)
    torch.manual_seed(9)
    other = cls(DIGITS, model.config)
    other.load_state_dict(model.state_dict())
    other.eval()
    x = data_points(DIGITS)
    results = []
    with torch.no_grad():
        for each in (model, other):
            torch.manual_seed(2)
            results.append((each.log_weights(x, 4), each.encode(x), each.reconstruct(x), each.sample(7)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@MODELS
def test_scoring_and_sampling_change_nothing(cls):
    model = trained(cls)
    before = copy.deepcopy(model.state_dict())
    x = data_points(DIGITS)
    with torch.no_grad():
        model.validation_loss(Batch(x))
        model.log_weights(x, 2)
        model.sample(3)
        model.divergence(x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@MODELS
def test_a_copy_made_before_training_trains_alike(cls):
    model = build(cls)
    other = copy.deepcopy(model)
    for each in (model, other):
        torch.manual_seed(3)
        for progress in (0.0, 0.5):
            each.update(Batch(data_points(DIGITS)), progress)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


@MODELS
def test_training_in_half_precision_stays_finite(cls):
    model = build(cls)
    batch = Batch(data_points(DIGITS))
    for progress in (0.0, 0.3, 0.6):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert math.isfinite(model.update(batch, progress)["loss"])
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert bool(model.eval().log_weights(batch.x, 2).isfinite().all())


@MODELS
def test_defaults_beat_independent_pixels_on_digits_and_use_the_upper_level(cls):
    """2.42 bits/dim is what independent pixels reach on the test split."""
    dataset = Digits(Options(), Path()).load()
    train, test = (DeviceSplit(dataset, name, torch.device("cpu")) for name in ("train", "test"))
    torch.manual_seed(1)
    model = cls(DIGITS, cls.Config())
    batches = train.shuffled(model.batch_size, torch.Generator().manual_seed(0))
    model.setup(next(batches))
    model.train()
    for step in range(400):
        model.update(next(batches), step / 400)
    model.eval()
    with torch.no_grad():
        bits = float(-model.log_weights(test.x(), 4).mean()) / (64 * math.log(2))
        upper = model.divergence(test.x())[0].mean(0)
    assert bits < 2.42
    assert float(upper.sum()) > 0.2

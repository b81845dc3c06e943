import copy
import math
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from genbench.data import Options
from genbench.data.device import DeviceSplit
from genbench.model import Batch, Conditional, DataSpec, Decoder, Encoder, Reconstructor, UnsupportedData
from genbench_datasets.digits import Digits
from genbench_vae.cvae import CVAE

SPECS = {
    "digits": DataSpec((1, 8, 8), "discrete", 17, 10),
    "odd": DataSpec((1, 7, 9), "discrete", 4, 2),
    "mnist-grey": DataSpec((1, 28, 28), "discrete", 256, 10),
    "mnist-binary": DataSpec((1, 28, 28), "binary", 2, 10),
    "colour": DataSpec((3, 32, 32), "discrete", 256, 10),
    "real": DataSpec((3, 8, 8), "continuous", None, 3),
    "plane": DataSpec((2,), "continuous", None, 2),
    "bits": DataSpec((20,), "binary", 2, 4),
}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, more of them only wait for each other
    yield
    torch.set_num_threads(threads)


def points(spec, n=12):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % spec.num_classes
    if spec.levels is None:
        return Batch(torch.randn(n, *spec.shape, generator=generator), y)
    x = torch.randint(spec.levels, (n, *spec.shape), generator=generator).float() / (spec.levels - 1)
    return Batch(x, y)


def built(spec, **options):
    torch.manual_seed(1)
    CVAE.check_data(spec)
    return CVAE(spec, CVAE.Config(width=8, hidden=32, **options))


def trained(spec, steps=2, **options):
    model = built(spec, **options)
    batch = points(spec)
    model.setup(batch)
    model.train()
    for step in range(steps):
        model.update(batch, step / steps)
    return model.eval()


@pytest.mark.parametrize("prior", ["independent", "label"])
@pytest.mark.parametrize("name", SPECS)
def test_every_shape_and_kind_is_trained_scored_and_sampled(name, prior):
    spec = SPECS[name]
    model = trained(spec, prior=prior)
    x, y = points(spec)
    with torch.no_grad():
        weights, samples, loss = model.log_weights(x, 3, y), model.sample(12, y), model.validation_loss(Batch(x, y))
        [(q, p)] = model.posterior(x, y)
    assert weights.shape == (3, 12)
    assert bool(torch.isfinite(weights).all())
    assert math.isfinite(float(loss))
    assert q.mean.shape == p.mean.shape == (12, 16)
    assert samples.shape == x.shape
    assert model.sample(5).shape == (5, *spec.shape)
    if spec.levels is not None:
        assert bool((weights < 0).all())
        levels = samples * (spec.levels - 1)
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
        assert 0 <= float(samples.min()) <= float(samples.max()) <= 1


def test_data_without_classes_is_refused():
    with pytest.raises(UnsupportedData, match=r"^needs data with class labels, this has none$"):
        CVAE.check_data(DataSpec((1, 8, 8), "discrete", 17))


def test_nothing_is_claimed_that_needs_a_label_and_gets_none():
    assert issubclass(CVAE, Conditional)
    assert not issubclass(CVAE, (Encoder, Reconstructor, Decoder))
    model = built(SPECS["digits"]).eval()
    x = points(SPECS["digits"]).x
    with pytest.raises(ValueError, match="needs the labels"):
        model.log_weights(x, 1)
    with pytest.raises(ValueError, match="needs the labels"):
        model.posterior(x)
    with pytest.raises(ValueError, match="needs the labels"):
        model.loss(Batch(x), 0.0)


@torch.no_grad()
def test_the_label_enters_the_encoder_and_the_decoder():
    model = built(SPECS["digits"]).eval()
    x, y = points(SPECS["digits"])
    other = (y + 1) % 10
    [(q, p)], [(q_other, p_other)] = model.posterior(x, y), model.posterior(x, other)
    assert bool(((q.mean - q_other.mean).abs().amax(1) > 1e-3).all())
    assert bool(((q.stddev - q_other.stddev).abs().amax(1) > 1e-3).all())
    assert torch.equal(p.mean, p_other.mean)  # an independent prior
    z = torch.zeros(12, 16)
    assert bool(((model.observation(z, y).mean - model.observation(z, other).mean).abs().amax((1, 2, 3)) > 1e-4).all())


def test_the_label_prior_learns():
    model = trained(SPECS["digits"], prior="label")
    p = model.prior(torch.arange(10))
    assert bool((p.mean.abs().amax(1) > 0).all())
    assert len(p.mean.unique(dim=0)) == 10


@torch.no_grad()
def test_samples_without_labels_are_of_all_labels_alike(monkeypatch):
    model = built(SPECS["bits"]).eval()
    seen = []
    observation = model.observation
    monkeypatch.setattr(model, "observation", lambda z, y: seen.append(y) or observation(z, y))
    torch.manual_seed(0)
    model.sample(4000)
    counts = torch.bincount(seen[0], minlength=4).double()
    assert float((counts - 1000).abs().max()) < 5 * math.sqrt(4000 * 0.25 * 0.75)
    with pytest.raises(RuntimeError, match="Class values"):
        model.sample(1, torch.tensor([4]))


def test_the_recognition_network_has_no_part_in_sampling():
    model = trained(SPECS["digits"], prior="label")
    y = torch.arange(10)
    torch.manual_seed(2)
    before = model.sample(10, y)
    for parameter in (*model.features.parameters(), *model.head.parameters()):
        parameter.data.fill_(torch.nan)
    torch.manual_seed(2)
    assert torch.equal(model.sample(10, y), before)


@pytest.mark.parametrize("prior", ["independent", "label"])
def test_a_checkpoint_restores_scores_and_samples(prior):
    spec = SPECS["digits"]
    model = trained(spec, prior=prior)
    torch.manual_seed(9)
    other = CVAE(spec, model.config)
    other.load_state_dict(model.state_dict())
    other.eval()
    x, y = points(spec)
    results = []
    with torch.no_grad():
        for each in (model, other):
            torch.manual_seed(2)
            results.append((each.log_weights(x, 4, y), each.sample(7), each.sample(12, y)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_copy_made_before_training_trains_alike():
    model = built(SPECS["digits"], prior="label")
    batch = points(SPECS["digits"])
    model.setup(batch)
    other = copy.deepcopy(model)
    for each in (model, other):
        torch.manual_seed(3)
        for progress in (0.0, 0.5):
            each.update(batch, progress)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


def test_training_in_half_precision_stays_finite():
    model = built(SPECS["digits"], prior="label")
    batch = points(SPECS["digits"])
    model.setup(batch)
    for progress in (0.0, 0.3, 0.6):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scalars = model.update(batch, progress)
        assert math.isfinite(float(scalars["loss"]))
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())


@pytest.mark.parametrize("prior", ["independent", "label"])
def test_samples_of_a_digit_are_recognised_as_that_digit(prior):
    """By a classifier of real digits, which tells 95% of the real test digits; chance is 10%, asked for are 80%."""
    dataset = Digits(Options(), Path()).load()
    train, test = (DeviceSplit(dataset, name, torch.device("cpu")) for name in ("train", "test"))
    classifier = LogisticRegression(C=0.3, max_iter=2000).fit(train.x().flatten(1).numpy(), train.y().numpy())
    assert classifier.score(test.x().flatten(1).numpy(), test.y().numpy()) > 0.95
    torch.manual_seed(0)
    model = CVAE(dataset.spec, CVAE.Config(prior=prior, network="mlp", hidden=256))
    batches = train.shuffled(model.batch_size, torch.Generator().manual_seed(0))
    model.setup(next(batches))
    model.train()
    for step in range(300):
        model.update(next(batches), step / 300)
    y = torch.arange(10).repeat_interleave(50)
    with torch.no_grad():
        samples = model.eval().sample(500, y)
    assert classifier.score(samples.flatten(1).numpy(), y.numpy()) > 0.8

import copy
import math
from pathlib import Path

import pytest
import torch

from genbench.data import Options
from genbench.data.device import DeviceSplit
from genbench.model import Batch, DataSpec, Quantized, UnsupportedData
from genbench_datasets.digits import Digits
from genbench_vae.vqvae import VQVAE

DATA = {
    "digits": DataSpec((1, 8, 8), "discrete", levels=17),
    "odd": DataSpec((1, 7, 9), "discrete", levels=4),
    "grey": DataSpec((1, 28, 28), "discrete", levels=256),
    "mnist": DataSpec((1, 28, 28), "binary", levels=2),
    "colour": DataSpec((3, 32, 32), "discrete", levels=256),
    "real": DataSpec((3, 8, 8), "continuous"),
    "pixel": DataSpec((1, 1, 1), "binary", levels=2),
}
#: Of each way to learn the codebook and of each way to split the budget, one.
VARIANTS = [{}, {"codebook": "gradient"}, {"prior_share": 0.4}, {"codebook": "gradient", "prior_share": 0.4}]
CASES = [(name, {}) for name in DATA] + [("digits", options) for options in VARIANTS[1:]]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, more of them only wait for each other
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits():
    dataset = Digits(Options(), Path()).load()
    return [DeviceSplit(dataset, name, torch.device("cpu")) for name in ("train", "test")]


def data_points(spec, n=12):
    torch.manual_seed(0)
    if spec.levels is None:
        return torch.randn(n, *spec.shape)
    return torch.randint(spec.levels, (n, *spec.shape)).float() / (spec.levels - 1)


def build(spec, **options):
    torch.manual_seed(1)
    VQVAE.check_data(spec)
    return VQVAE(spec, VQVAE.Config(**options))


def trained(spec, steps=2, **options):
    model = build(spec, **options)
    batch = Batch(data_points(spec))
    model.setup(batch)
    model.train()
    for step in range(steps):
        model.update(batch, step / steps)
    return model.eval()


def fit(model, train, steps):
    """Train on digits; the last step's scalars."""
    batches = train.shuffled(model.batch_size, torch.Generator().manual_seed(0))
    model.train()
    model.setup(next(batches))
    for step in range(steps):
        scalars = model.update(next(batches), step / steps)
    model.eval()
    return scalars


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_shape_and_kind_is_trained_scored_and_sampled(name, options):
    spec = DATA[name]
    model = build(spec, **options)
    batch = Batch(data_points(spec))
    model.setup(batch)
    model.train()
    for progress in (0.0, 0.5, 1.0):
        scalars = model.update(batch, progress)
        assert all(value.shape == () and not value.requires_grad for value in scalars.values())
        assert math.isfinite(float(scalars["loss"]))
        assert 1 - 1e-5 <= float(scalars["perplexity"]) <= 8 * float(scalars["usage"]) + 1e-5
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
        assert bool((weights < 0).all())
        levels = samples * (spec.levels - 1)
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
        assert 0 <= float(samples.min()) <= float(samples.max()) <= 1


@pytest.mark.parametrize("name", DATA)
def test_a_reconstruction_is_the_decoded_code(name):
    model = trained(DATA[name])
    x = data_points(DATA[name])
    with torch.no_grad():
        codes, restored = model.encode(x), model.reconstruct(x)
        assert torch.equal(model.decode(codes), restored)
        if name != "pixel":  # whose twelve values may be the same backwards
            assert not torch.equal(model.decode(codes.flip(0)), restored)


def test_codes_are_symbols_of_the_codebook_at_each_place_of_the_grid():
    model = trained(DATA["digits"])
    x = data_points(DATA["digits"])
    assert isinstance(model, Quantized)
    with torch.no_grad():
        codes = model.codes(x)
        assert (codes.shape, codes.dtype, model.codebook_size) == ((12, 16), torch.int64, 8)
        vectors = model.codebook.vectors[codes].transpose(1, 2).flatten(1)
        assert torch.equal(model.encode(x), vectors)
        own, other = model.log_likelihood(x, codes), model.log_likelihood(x, codes.flip(0))
    assert own.shape == (12,)
    assert not torch.equal(own, other)


def test_it_decodes_what_is_near_a_code_as_that_code():
    model = trained(DATA["digits"])
    with torch.no_grad():
        vectors = model.codebook.vectors
        nearest = torch.cdist(vectors, vectors).fill_diagonal_(torch.inf).min().item()
        codes = model.encode(data_points(DATA["digits"]))
        # moves every vector by 0.4 of the way, as it has four components
        assert torch.equal(model.decode(codes + 0.2 * nearest), model.decode(codes))
        assert not torch.equal(model.decode(codes + 5 * nearest), model.decode(codes))


@pytest.mark.parametrize("options", VARIANTS)
def test_a_checkpoint_restores_scores_codes_and_samples(options):
    model = trained(DATA["digits"], **options)
    torch.manual_seed(9)
    other = VQVAE(DATA["digits"], model.config)
    other.load_state_dict(model.state_dict())
    other.eval()
    x = data_points(DATA["digits"])
    results = []
    with torch.no_grad():
        for each in (model, other):
            torch.manual_seed(2)
            results.append((each.log_weights(x, 4), each.encode(x), each.reconstruct(x), each.sample(7)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("options", VARIANTS)
def test_a_copy_made_before_training_trains_alike(options):
    model = build(DATA["digits"], **options)
    batch = Batch(data_points(DATA["digits"]))
    model.setup(batch)
    other = copy.deepcopy(model)
    for each in (model, other):
        torch.manual_seed(3)
        for progress in (0.0, 0.7):
            each.update(batch, progress)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("options", VARIANTS)
def test_training_in_half_precision_stays_finite(options):
    model = build(DATA["digits"], **options)
    batch = Batch(data_points(DATA["digits"]))
    model.setup(batch)
    model.train()
    for progress in (0.0, 0.3, 0.6):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scalars = model.update(batch, progress)
        assert math.isfinite(float(scalars["loss"]))
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert bool(torch.isfinite(model.eval().log_weights(batch.x, 2)).all())


def test_scoring_and_sampling_change_nothing():
    model = trained(DATA["digits"])
    before = copy.deepcopy(model.state_dict())
    x = data_points(DATA["digits"])
    with torch.no_grad():
        model.validation_loss(Batch(x))
        model.log_weights(x, 2)
        model.log_likelihood(x, model.codes(x))
        model.sample(3)
        model.reconstruct(x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_setup_starts_from_the_data():
    """Before the first step the decoder has each pixel's mean."""
    spec = DATA["digits"]
    x = torch.round(data_points(spec, 200) * torch.linspace(0, 1, 8) * 16) / 16
    model = build(spec).eval()
    model.setup(Batch(x))
    with torch.no_grad():
        torch.testing.assert_close(model.reconstruct(x).mean(0), x.mean(0), rtol=0, atol=0.05)


def test_images_only():
    with pytest.raises(UnsupportedData, match="needs images"):
        VQVAE.check_data(DataSpec((2,), "continuous"))


@pytest.mark.parametrize(
    ("shape", "halvings", "grid"),
    [((1, 8, 8), None, (4, 4)), ((1, 28, 28), None, (7, 7)), ((3, 32, 24), None, (8, 6)), ((1, 9, 30), 3, (2, 4))],
)
def test_grids(shape, halvings, grid):
    spec = DataSpec(shape, "discrete", levels=256)
    model = build(spec, halvings=halvings, width=2, code_dim=3, blocks=0)
    assert model.prior.grid == grid
    x = torch.zeros(2, *shape)
    assert model.encode(x).shape == (2, 3 * math.prod(grid))
    assert model.reconstruct(x).shape == x.shape


@pytest.mark.parametrize("end", [{}, {"prior_share": 0.3}])
def test_the_codebook_follows_in_training_and_comes_to_rest_with_its_stage(end):
    model = build(DATA["digits"], **end)
    batch = Batch(data_points(DATA["digits"]))
    model.setup(batch)
    start = model.codebook.vectors.clone()
    model.eval().loss(batch, 0.0)
    assert torch.equal(model.codebook.vectors, start)
    model.train().loss(batch, math.nextafter(1 - end.get("prior_share", 0), 0))
    torch.testing.assert_close(model.codebook.vectors, start)
    model.loss(batch, 0.0)
    assert float((model.codebook.vectors - start).norm()) > 1e-3


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_stages_train_what_is_theirs_and_nothing_else(codebook):
    model = build(DATA["digits"], prior_share=0.4, codebook=codebook)
    batch = Batch(data_points(DATA["digits"]))
    model.setup(batch)
    model.train()

    def changed(*progress):
        before = copy.deepcopy(model.state_dict())
        for each in progress:
            scalars = model.update(batch, each)
        names = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
        return {name.split(".")[0] for name in names}, scalars

    everything_else = {"encoder", "decoder", "marginal", "codebook"}
    parts, scalars = changed(0.0, 0.2, 0.5)
    assert parts == everything_else
    assert float(scalars["rate"]) == pytest.approx(16 * math.log(8))
    parts, scalars = changed(0.6, 0.8, 0.9)
    assert parts == {"prior"}
    assert scalars["loss"] == scalars["rate"]
    assert model.encoder.training


def test_each_stage_anneals_on_its_own():
    model = build(DATA["digits"], prior_share=0.25)
    for progress, share in ((0.0, 1.0), (0.375, 0.5), (0.7499999, 0.0), (0.75, 1.0), (0.875, 0.5), (1.0, 0.0)):
        assert model.annealing(progress) == pytest.approx(share, abs=1e-6)
    whole = build(DATA["digits"])
    for progress, share in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)):
        assert whole.annealing(progress) == pytest.approx(share)
    assert build(DATA["digits"], prior_share=0.25, schedule="constant").annealing(0.9) == 1.0


def test_the_prior_is_trained_on_the_codes_that_are_scored():
    """Without dropout in the encoder, that is, which all other training has."""
    model = build(DATA["digits"], prior_share=0.5, prior_dropout=0.0, dropout=0.9)
    batch = Batch(data_points(DATA["digits"]))
    model.setup(batch)
    rates = [model.train(mode).loss(batch, 0.9)["rate"] for mode in (True, False)]
    torch.testing.assert_close(*rates)


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_a_collapsed_codebook_is_revived(digits, codebook):
    """All vectors but one start out of reach, which is a perplexity of 1; training brings them into use."""
    train, _ = digits
    model = build(DATA["digits"], schedule="constant", codebook=codebook)
    batches = train.shuffled(64, torch.Generator().manual_seed(0))
    model.setup(next(batches))
    with torch.no_grad():
        model.codebook.vectors[1:] += 100
    assert len(model.codebook.nearest(model.encoder(next(batches).x)).unique()) == 1
    for _ in range(70):
        scalars = model.update(next(batches), 0.0)
    assert 2 < float(scalars["perplexity"]) <= 8


@pytest.mark.parametrize("options", [VARIANTS[0], VARIANTS[-1]])
def test_a_trained_prior_is_worth_more_than_a_uniform_one(digits, options):
    """And both are bounded by codes that cost nothing; all codes are in use. 2.42 bits/dim is what independent pixels
    reach on the test split."""
    train, test = digits
    x = test.x()
    scale = 1 / (64 * math.log(2))
    model = build(DATA["digits"], **options)
    model.setup(Batch(train.x(128)))
    with torch.no_grad():
        assert float(model.eval().validation_loss(Batch(x))) * scale > 2.42
    fit(model, train, 320)
    with torch.no_grad():
        codes = model.codes(x)
        conditional = -model.log_likelihood(x, codes).mean()
        total = -model.log_weights(x, 1).mean()
    assert len(codes.unique()) == 8
    assert float(conditional) < float(total) < float(conditional) + 16 * math.log(8) - 5
    assert float(total) * scale < 2.42


def test_a_large_codebook_does_not_die(digits):
    train, test = digits
    model = build(DATA["digits"], codes=64, prior_width=8)
    scalars = fit(model, train, 150)
    with torch.no_grad():
        assert len(model.codes(test.x()).unique()) >= 58
    assert float(scalars["usage"]) > 0.9
    assert float(scalars["perplexity"]) > 32

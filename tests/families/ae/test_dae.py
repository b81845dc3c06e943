import copy
from pathlib import Path

import pytest
import torch

from genbench.data import Options
from genbench.data.device import DeviceSplit
from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_ae.ae import AE
from genbench_ae.dae import DAE
from genbench_datasets.digits import Digits

SPECS = {
    "digits": DataSpec((1, 8, 8), "discrete", levels=17),
    "binary": DataSpec((1, 28, 28), "binary", levels=2),
    "colour": DataSpec((3, 12, 10), "discrete", levels=256),
    "vectors": DataSpec((20,), "continuous"),
}
CORRUPTIONS = ("gaussian", "masking", "salt-and-pepper")


def data_points(spec, n=24, seed=0):
    draw = torch.Generator().manual_seed(seed)
    if spec.levels is None:
        return torch.randn(n, *spec.shape, generator=draw)
    return torch.randint(spec.levels, (n, *spec.shape), generator=draw).float() / (spec.levels - 1)


def build(spec, cls=DAE, **options):
    torch.manual_seed(1)
    return cls(spec, cls.Config(**options))


class Spy(torch.nn.Module):
    """A network that remembers what it was given."""

    def __init__(self, network):
        super().__init__()
        self.network, self.seen = network, []

    def forward(self, x):
        self.seen.append(x)
        return self.network(x)


@pytest.mark.parametrize("latent_dim", [None, 300])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_shape_and_kind_is_trained_restored_and_sampled(spec, latent_dim):
    model = build(spec, latent_dim=latent_dim)
    batch = Batch(data_points(spec))
    model.setup(batch)
    assert torch.isfinite(model.update(batch, 0.0)["loss"])
    model.eval()
    with torch.no_grad():
        model.finish(batch)
        codes, restored, samples = model.encode(batch.x), model.reconstruct(batch.x), model.sample(5)
        assert torch.equal(model.decode(codes), restored)
    assert codes.shape == (24, latent_dim or 16)
    assert restored.shape == batch.x.shape
    assert samples.shape == (5, *spec.shape)
    assert bool(torch.isfinite(samples).all())


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_the_input_is_corrupted_anew_at_every_step_and_the_target_is_clean(corruption):
    model = build(SPECS["digits"], corruption=corruption, rate=0.3, sigma=0.3)
    model.encoder = Spy(model.encoder)
    x = data_points(SPECS["digits"])
    loss = model.loss(Batch(x), 0.0)["loss"]
    model.loss(Batch(x), 0.0)
    first, second = model.encoder.seen
    assert not torch.equal(first, x)
    assert not torch.equal(first, second)
    output = model.decoder(model.encoder.network(first))
    torch.testing.assert_close(loss, (output - x).square().flatten(1).sum(1).mean())


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_codes_and_reconstructions_are_of_the_data_as_it_is(corruption):
    model = build(SPECS["digits"], corruption=corruption).eval()
    model.encoder = Spy(model.encoder)
    x = data_points(SPECS["digits"])
    with torch.no_grad():
        assert torch.equal(model.reconstruct(x), model.reconstruct(x))
        model.encode(x)
        model.finish(Batch(x))
    assert all(torch.equal(seen, x) for seen in model.encoder.seen)


def test_the_held_out_objective_is_that_of_noisy_data_and_its_noise_is_torch_s():
    model = build(SPECS["digits"]).eval()
    batch = Batch(data_points(SPECS["digits"]))
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(float(model.validation_loss(batch).detach()))
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("options", [{"sigma": 0}, {"corruption": "masking", "rate": 0}])
def test_without_noise_it_is_the_plain_autoencoder_bit_for_bit(options):
    spec = SPECS["digits"]
    dae, ae = build(spec, **options), build(spec, AE)
    for step in range(3):
        batch = Batch(data_points(spec, seed=step))
        assert torch.equal(*(model.update(batch, step / 3)["loss"] for model in (dae, ae)))
    assert all(map(torch.equal, dae.parameters(), ae.parameters()))


def test_the_noise_suits_the_data_s_kind_unless_it_is_chosen():
    chosen = {name: build(spec).corruption for name, spec in SPECS.items()}
    assert chosen.pop("binary") == "salt-and-pepper"
    assert set(chosen.values()) == {"gaussian"}
    assert build(SPECS["binary"], corruption="masking").corruption == "masking"
    x = data_points(SPECS["binary"])
    assert set(build(SPECS["binary"]).noisy(x).unique().tolist()) == {0.0, 1.0}


def test_noise_on_continuous_data_is_in_units_of_its_spread():
    spec = SPECS["vectors"]
    noise = []
    for scale in (1.0, 1000.0):
        model = build(spec)
        x = scale * (data_points(spec, 500) + 3.0)
        model.setup(Batch(x))
        noise.append(float((model.noisy(x) - x).std()) / scale)
        other = DAE(spec, model.config)
        other.load_state_dict(model.state_dict())
        assert torch.equal(other.spread, model.spread)
    # the standard deviations of 10,000 points' coordinates and of as much noise, each known to 1/sqrt(20,000)
    assert noise == pytest.approx([0.2, 0.2], rel=5 * (2 / 20_000) ** 0.5)


def test_salt_and_pepper_of_continuous_data_is_refused():
    with pytest.raises(UnsupportedData, match=r"needs data in \[0, 1\]"):
        build(SPECS["vectors"], corruption="salt-and-pepper")


def test_a_copy_made_before_training_trains_alike_and_in_low_precision():
    model = build(SPECS["digits"])
    other = copy.deepcopy(model)
    batch = Batch(data_points(SPECS["digits"]))
    losses = []
    for each in (model, other):
        torch.manual_seed(3)
        losses.append(float(each.update(batch, 0.1)["loss"]))
    assert losses[0] == losses[1]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(model.update(batch, 0.2)["loss"])


@pytest.fixture(scope="module")
def digits():
    dataset = Digits(Options(), Path()).load()
    return [DeviceSplit(dataset, name, torch.device("cpu")) for name in ("train", "test")]


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_it_takes_more_noise_away_than_an_autoencoder_that_saw_none(digits, corruption):
    train, test = digits
    x = test.x()
    options = {"sigma": 0.3, "rate": 0.3, "corruption": corruption}
    errors = []
    for cls, own in ((DAE, options), (AE, {})):
        model = build(SPECS["digits"], cls, network="mlp", nodes="128", **own)
        batches = train.shuffled(128, torch.Generator().manual_seed(0))
        for step in range(300):
            model.update(next(batches), step / 300)
        noisy = build(SPECS["digits"], **options).noisy(x)
        with torch.no_grad():
            errors.append(float((model.eval().reconstruct(noisy) - x).square().mean()))
    noise = float((noisy - x).square().mean())
    assert errors[0] < 0.8 * errors[1]
    assert errors[0] < 0.6 * noise

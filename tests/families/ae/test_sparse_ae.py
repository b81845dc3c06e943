import copy
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from genbench.data import Options
from genbench.data.device import DeviceSplit
from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_ae.sparse_ae import SparseAE
from genbench_datasets.digits import Digits

SPECS = {
    "digits": DataSpec((1, 8, 8), "discrete", levels=17),
    "binary": DataSpec((1, 28, 28), "binary", levels=2),
    "colour": DataSpec((3, 12, 10), "discrete", levels=256),
    "plane": DataSpec((2,), "continuous"),
    "vectors": DataSpec((20,), "continuous"),
}


def data_points(spec, n=24):
    draw = torch.Generator().manual_seed(0)
    if spec.levels is None:
        return torch.randn(n, *spec.shape, generator=draw)
    return torch.randint(spec.levels, (n, *spec.shape), generator=draw).float() / (spec.levels - 1)


def build(spec, **options):
    torch.manual_seed(1)
    return SparseAE(spec, SparseAE.Config(**options))


@pytest.mark.parametrize("options", [{}, {"penalty": "l1", "code_activation": "relu", "network": "mlp", "nodes": "40"}])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_shape_and_kind_is_trained_restored_and_sampled(spec, options):
    model = build(spec, **options)
    batch = Batch(data_points(spec))
    model.setup(batch)
    scalars = model.update(batch, 0.0)
    assert set(scalars) == {"loss", "error", "activation"}
    assert all(torch.isfinite(value) and not value.requires_grad for value in scalars.values())
    model.eval()
    with torch.no_grad():
        assert torch.isfinite(model.validation_loss(batch))
        model.finish(batch)
        codes, restored, samples = model.encode(batch.x), model.reconstruct(batch.x), model.sample(5)
        assert torch.equal(model.decode(codes), restored)
    assert codes.shape == (24, min(2 * spec.dims, 512))
    assert float(codes.min()) >= 0
    assert restored.shape == batch.x.shape
    assert samples.shape == (5, *spec.shape)
    assert bool(torch.isfinite(samples).all())
    other = SparseAE(spec, model.config)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(other.eval().reconstruct(batch.x), restored)
        assert torch.equal(other.prior().log_prob(codes), model.prior().log_prob(codes))


@pytest.mark.parametrize("network", ["conv", "mlp"])
def test_activations_are_those_of_every_layer_up_to_the_code(network):
    model = build(SPECS["digits"], network=network, latent_dim=9)
    x = data_points(SPECS["digits"])
    layers = model.activations(x)
    assert [layer.shape[1] for layer in layers] == {"conv": [32 * 16, 64 * 4, 256, 9], "mlp": [512, 512, 9]}[network]
    assert torch.equal(layers[-1], model.encode(x))
    first = model.encoder[0].net[0] if network == "conv" else model.encoder[0][1][0]
    hidden = torch.nn.functional.silu(first(x if network == "conv" else x.flatten(1)))
    assert torch.equal(layers[0], hidden.flatten(1))


def test_weights_are_counted_from_the_code():
    """A weight on one layer pulls at that layer's own activations."""
    x = data_points(SPECS["digits"])
    options = {"network": "mlp", "nodes": "30-20", "activation": "sigmoid", "latent_dim": 10}

    @torch.no_grad()
    def means(model):
        return torch.stack([layer.mean() for layer in model.activations(x)])

    for position, weight in enumerate(["50-0-0", "50-0", "50"]):
        model = build(SPECS["digits"], weight=weight, target=0.1, **options)
        before = means(model)
        for step in range(80):
            scalars = model.update(Batch(x), step / 80)
        nearer = (means(model) - 0.1).abs() - (before - 0.1).abs()
        assert int(nearer.argmin()) == position
        assert float(nearer.min()) < -0.1
        name = "activation" if position == 2 else f"activation_{2 - position}"
        assert set(scalars) == {"loss", "error", name}


def test_a_number_is_as_good_as_its_text():
    assert SparseAE.Config(weight=0.5, target=0.1) == SparseAE.Config(weight="0.5", target="0.1")
    assert SparseAE.Config(weight=1e-5).weights == (1e-5,)
    assert SparseAE.Config(weight="0.2-0-1", penalty="l1").weights == (0.2, 0.0, 1.0)
    assert SparseAE.Config(weight="0-0.1").targets == (0.05, 0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"code_activation": "linear"}, "penalty=kl needs code_activation=sigmoid, not linear"),
        ({"code_activation": "relu"}, "penalty=kl needs code_activation=sigmoid, not relu"),
        ({"weight": "0.1-0.1"}, "penalty=kl of hidden layers needs activation=sigmoid, not silu"),
        ({"target": 0}, "penalty=kl needs targets between 0 and 1, not target=0"),
        ({"target": 1}, "penalty=kl needs targets between 0 and 1, not target=1"),
        ({"weight": "0.1", "target": "0.1-0.1"}, "list different numbers of layers"),
        ({"weight": -0.1}, "match pattern"),
        ({"weight": "0.1,0.2"}, "match pattern"),
        ({"weight": True}, "valid string"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(options, message):
    with pytest.raises(ValidationError) as caught:
        SparseAE.Config(**options)
    (problem,) = caught.value.errors()
    assert message in problem["msg"]
    assert "\n" not in problem["msg"]


def test_other_penalties_take_any_activation():
    for penalty in ("l1", "l2"):
        for code in ("sigmoid", "relu", "linear"):
            config = SparseAE.Config(penalty=penalty, code_activation=code, weight="0.1-0.1", activation="tanh")
            assert config.weights == (0.1, 0.1)


def test_layers_that_are_not_there_or_not_between_0_and_1_are_refused():
    with pytest.raises(UnsupportedData, match=r"weight=0\.1-0-0-0-0\.1 lists 5 layers, there are 4"):
        build(SPECS["digits"], weight="0.1-0-0-0-0.1", penalty="l1")
    with pytest.raises(ValidationError, match="activation is an option of network=mlp"):
        build(SPECS["digits"], weight="0.1-0.1", activation="sigmoid", network="conv")
    build(SPECS["digits"], weight="0.1-0.1", activation="sigmoid")
    build(SPECS["vectors"], weight="0.1-0.1", activation="sigmoid")
    build(SPECS["digits"], weight="0.1-0.1-0.1-0.1", penalty="l1")


def test_a_copy_made_before_training_trains_alike_and_in_low_precision():
    model = build(SPECS["digits"])
    other = copy.deepcopy(model)
    batch = Batch(data_points(SPECS["digits"]))
    losses = [float(each.update(batch, 0.1)["loss"]) for each in (model, other)]
    assert losses[0] == losses[1]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(model.update(batch, 0.2)["loss"])


@pytest.fixture(scope="module")
def digits():
    dataset = Digits(Options(), Path()).load()
    return [DeviceSplit(dataset, name, torch.device("cpu")) for name in ("train", "test")]


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"target": 0.05, "network": "conv", "width": 8}, 0.05),
        ({"target": 0.05, "network": "mlp", "nodes": "200"}, 0.05),
        ({"target": 0.2, "network": "mlp", "nodes": "200"}, 0.2),
    ],
)
def test_the_mean_activation_reaches_its_target_on_digits(digits, options, target):
    train, test = digits
    activation = {}
    for weight in (1, 0):
        model = build(SPECS["digits"], weight=weight, **options)
        batches = train.shuffled(128, torch.Generator().manual_seed(0))
        for step in range(300):
            scalars = model.update(next(batches), step / 300)
        with torch.no_grad():
            units = model.eval().encode(test.x()).mean(0)
        activation[weight] = float(units.mean())
        if weight:
            assert float(scalars["activation"]) == pytest.approx(target, rel=0.25)
            # each unit on its own; the mean over 360 test points is itself uncertain
            assert float((units - target).abs().mean()) < 0.2 * target
    assert activation[1] == pytest.approx(target, rel=0.25)
    assert abs(activation[0] - target) > 0.2

import copy
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

import genbench_ae
from genbench.data import Options
from genbench.data.device import DeviceSplit
from genbench.errors import UsageError
from genbench.model import Batch, DataSpec, Decoder, Sampler, UnsupportedData
from genbench.plan.references import parse_references, validate
from genbench_ae.ae import AE
from genbench_ae.linear_ae import LinearAE
from genbench_ae.pca import PCA
from genbench_ae.ppca import PPCA
from genbench_datasets.digits import Digits

MODELS = [PCA, PPCA, LinearAE, AE]
DENSITIES = ["gaussian", "mixture", "kernel"]
SPECS = {
    "digits": DataSpec((1, 8, 8), "discrete", levels=17),
    "odd": DataSpec((1, 7, 9), "discrete", levels=4),
    "mnist": DataSpec((1, 28, 28), "binary", levels=2),
    "colour": DataSpec((3, 12, 10), "discrete", levels=256),
    "plane": DataSpec((2,), "continuous"),
    "vectors": DataSpec((20,), "continuous"),
}


def data_points(spec, n=24):
    torch.manual_seed(0)
    if spec.levels is None:
        return torch.randn(n, *spec.shape)
    return torch.randint(spec.levels, (n, *spec.shape)).float() / (spec.levels - 1)


def build(cls, spec, **options):
    torch.manual_seed(1)
    model = cls(spec, cls.Config(**options))
    cls.check_data(spec)
    return model


def trained(model, split, steps):
    """Trained on a digits split and then in evaluation mode."""
    batches = split.shuffled(model.batch_size, torch.Generator().manual_seed(0))
    model.setup(next(batches))
    for step in range(steps):
        if not model.done:
            model.update(next(batches), step / steps)
    return model.eval()


@pytest.fixture(scope="module")
def digits():
    dataset = Digits(Options(), Path()).load()
    return [DeviceSplit(dataset, name, torch.device("cpu")) for name in ("train", "test")]


def test_the_package_lists_its_models_without_importing_torch():
    code = (
        "import sys, genbench_ae; names = [m.name for m in genbench_ae.genbench_models()]; "
        "assert names == ['pca', 'ppca', 'linear_ae', 'ae', 'dae', 'sparse_ae', 'ksparse_ae', 'cae'], names; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert genbench_ae.GENBENCH_API == 1


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("cls", MODELS)
def test_every_shape_and_kind_is_trained_encoded_and_restored(cls, spec):
    model = build(cls, spec)
    batch = Batch(data_points(spec))
    model.setup(batch)
    scalars = model.update(batch, 0.0)
    assert torch.isfinite(scalars["loss"])
    assert not scalars["loss"].requires_grad
    model.eval()
    with torch.no_grad():
        codes, restored = model.encode(batch.x), model.reconstruct(batch.x)
        loss = model.validation_loss(batch)
    assert codes.shape[0] == len(batch.x)
    assert codes.shape[1] < spec.dims  # by default
    assert restored.shape == batch.x.shape
    assert codes.dtype == restored.dtype == torch.float32
    assert loss.shape == ()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("cls", MODELS)
def test_a_reconstruction_is_the_decoded_code(cls, spec):
    model = build(cls, spec)
    x = data_points(spec)
    model.setup(Batch(x))
    model.update(Batch(x), 0.0)
    model.eval()
    with torch.no_grad():
        codes, restored = model.encode(x), model.reconstruct(x)
        assert torch.equal(model.decode(codes), restored)
        assert not torch.allclose(model.decode(codes + 1), restored)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_ppca_scores_and_samples_every_kind(spec):
    model = build(PPCA, spec)
    model.update(Batch(data_points(spec)), 0.0)
    assert model.log_prob(data_points(spec)).shape == (24,)
    x = model.sample(5)
    assert x.shape == (5, *spec.shape)
    assert x.dtype == torch.float32
    if spec.levels is not None:
        levels = x * (spec.levels - 1)
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
        assert 0 <= float(x.min()) <= float(x.max()) <= 1


@pytest.mark.parametrize("cls", MODELS)
def test_a_checkpoint_restores_codes_and_reconstructions(cls):
    spec = SPECS["digits"]
    model = build(cls, spec, latent_dim=5)
    batch = Batch(data_points(spec))
    model.update(batch, 0.5)
    torch.manual_seed(9)
    other = cls(spec, model.config)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval().encode(batch.x), other.eval().encode(batch.x))
        assert torch.equal(model.reconstruct(batch.x), other.reconstruct(batch.x))
        if cls is PPCA:
            assert torch.equal(model.log_prob(batch.x), other.log_prob(batch.x))


@pytest.mark.parametrize("cls", MODELS)
def test_a_copy_made_before_training_trains_alike(cls):
    spec = SPECS["digits"]
    model = build(cls, spec)
    other = copy.deepcopy(model)
    batch = Batch(data_points(spec))
    losses = [float(m.update(batch, 0.1)["loss"]) for m in (model, other)]
    assert losses[0] == losses[1]
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("cls", [PCA, PPCA])
def test_components_as_many_as_dimensions_are_refused(cls):
    with pytest.raises(UnsupportedData, match="latent_dim=64 is no smaller than the data's 64 dimensions"):
        build(cls, SPECS["digits"], latent_dim=64)
    assert build(cls, SPECS["digits"], latent_dim=63) is not None
    with pytest.raises(UnsupportedData, match="at least 2 dimensions"):
        cls.check_data(DataSpec((1,), "continuous"))


@pytest.mark.parametrize("options", [{}, {"network": "conv"}, {"network": "mlp"}], ids=str)
@pytest.mark.parametrize("latent_dim", [64, 200])
def test_a_code_may_be_larger_than_the_data(options, latent_dim):
    for cls in (AE, LinearAE) if not options else (AE,):
        model = build(cls, SPECS["digits"], latent_dim=latent_dim, **options)
        x = data_points(SPECS["digits"])
        model.setup(Batch(x))
        model.update(Batch(x), 0.0)
        model.eval()
        with torch.no_grad():
            model.finish(Batch(x))
            assert model.encode(x).shape == (24, latent_dim)
            assert model.sample(3).shape == (3, 1, 8, 8)


def test_an_overcomplete_linear_code_is_the_identity_from_the_start():
    model = build(LinearAE, SPECS["vectors"], latent_dim=30)
    x = data_points(SPECS["vectors"])
    model.setup(Batch(x))
    with torch.no_grad():
        torch.testing.assert_close(model.reconstruct(x), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cls", [AE, LinearAE])
def test_data_of_one_dimension_has_a_code_of_one(cls):
    spec = DataSpec((1,), "continuous")
    model = build(cls, spec)
    x = data_points(spec)
    model.setup(Batch(x))
    model.update(Batch(x), 0.0)
    with torch.no_grad():
        model.eval().finish(Batch(x))
        assert model.encode(x).shape == (24, 1)
        assert model.sample(5).shape == (5, 1)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("cls", [PCA, LinearAE, AE])
def test_every_shape_and_kind_is_sampled_through_a_density_of_codes(cls, density, spec):
    model = build(cls, spec, density=density)
    assert isinstance(model, Sampler)
    assert isinstance(model, Decoder)
    x = data_points(spec, 60)
    model.setup(Batch(x))
    model.update(Batch(x), 0.0)
    model.eval()
    with torch.no_grad():
        model.finish(Batch(x))
        codes = model.encode(x)
        drawn, z = model.sample(7), model.prior().sample((5,))
        decoded = model.decode(z)
    assert drawn.shape == (7, *spec.shape)
    assert decoded.shape == (5, *spec.shape)
    assert z.shape == (5, codes.shape[1])
    assert drawn.dtype == decoded.dtype == z.dtype == torch.float32
    if spec.levels is not None:
        levels = drawn * (spec.levels - 1)
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
        assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    for some in (codes, z):
        log_prob = model.prior().log_prob(some)
        assert log_prob.shape == (len(some),)
        assert bool(torch.isfinite(log_prob).all())
    assert model.observation(z) is None
    torch.manual_seed(9)
    other = cls(spec, model.config).eval()
    other.load_state_dict(model.state_dict())
    torch.manual_seed(3)
    first = model.sample(4)
    torch.manual_seed(3)
    assert torch.equal(first, other.sample(4))


def test_finish_is_what_makes_samples_good(digits):
    train, _ = digits
    for cls in (PCA, LinearAE, AE):
        model = trained(build(cls, SPECS["digits"], latent_dim=8), train, steps=150)
        distances = []
        with torch.no_grad():
            for _ in ("before", "after"):
                drawn = model.sample(200).flatten(1)
                distances.append(float(torch.cdist(drawn, train.x().flatten(1)).square().amin(1).mean()))
                model.finish(Batch(train.x()))
        assert distances[1] < 0.6 * distances[0], cls.__name__


def test_finish_makes_samples_of_pca_have_the_datas_moments():
    """Of Gaussian data in a subspace, which a Gaussian of codes describes exactly."""
    torch.manual_seed(0)
    spec = DataSpec((5,), "continuous")
    x = torch.randn(2000, 3) @ torch.randn(3, 5) + 2
    model = build(PCA, spec, latent_dim=3, density="gaussian").eval()
    model.update(Batch(x), 0.0)
    model.finish(Batch(x))
    n = 20_000
    drawn, mean, covariance = model.sample(n), x.mean(0), torch.cov(x.T, correction=0)
    assert bool(((drawn.mean(0) - mean).abs() < 5 * (covariance.diagonal() / n).sqrt()).all())
    stderr = ((torch.outer(covariance.diagonal(), covariance.diagonal()) + covariance.square()) / n).sqrt()
    assert bool(((torch.cov(drawn.T) - covariance).abs() < 5 * stderr).all())


def test_finish_is_the_same_for_the_same_weights_and_changes_only_the_density(digits):
    train, _ = digits
    model = trained(build(AE, SPECS["digits"], latent_dim=4), train, steps=20)
    weights = {name: value.clone() for name, value in model.named_parameters()}
    states = []
    with torch.no_grad():
        for points in (train.x(), train.x()[:300], train.x()):
            model.finish(Batch(points))
            states.append({name: value.clone() for name, value in model.density.state_dict().items()})
    assert all(torch.equal(states[0][name], states[2][name]) for name in states[0])
    assert not torch.equal(states[0]["means"], states[1]["means"])
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())


def test_convolutions_on_vectors_are_refused():
    with pytest.raises(UnsupportedData, match="needs images"):
        build(AE, SPECS["vectors"], network="conv")


def test_closed_form_models_ask_for_the_whole_split_and_are_then_done():
    for cls in (PCA, PPCA):
        model = build(cls, SPECS["digits"])
        assert model.batch_size is None
        assert not model.done
        model.update(Batch(data_points(SPECS["digits"])), 0.0)
        assert model.done
    assert build(AE, SPECS["digits"]).batch_size == 128


def test_data_in_a_subspace_has_a_finite_likelihood():
    x = torch.randn(50, 1) * torch.arange(1.0, 6.0)
    model = build(PPCA, DataSpec((5,), "continuous"), latent_dim=2)
    model.update(Batch(x), 0.0)
    assert bool(torch.isfinite(model.log_prob(x)).all())


@pytest.mark.parametrize("network", ["conv", "mlp"])
def test_ae_beats_pca_at_the_same_dimension_on_digits(digits, network):
    train, test = digits
    pca = build(PCA, SPECS["digits"], latent_dim=8)
    pca.update(Batch(train.x()), 0.0)
    ae = trained(build(AE, SPECS["digits"], latent_dim=8, network=network), train, steps=400)
    with torch.no_grad():
        assert ae.validation_loss(Batch(test.x())) < 0.9 * pca.validation_loss(Batch(test.x()))


@pytest.mark.parametrize("latent_dim", [2, 16])
def test_the_linear_ae_comes_near_pca_in_a_thousand_steps(digits, latent_dim):
    train, test = digits
    pca = build(PCA, SPECS["digits"], latent_dim=latent_dim)
    pca.update(Batch(train.x()), 0.0)
    model = trained(build(LinearAE, SPECS["digits"], latent_dim=latent_dim), train, steps=1000)
    x = test.x()
    with torch.no_grad():
        assert model.validation_loss(Batch(x)) < 1.03 * pca.validation_loss(Batch(x))
        # nothing linear does better than PCA, but for rounding
        assert model.validation_loss(Batch(train.x())) > (1 - 1e-5) * pca.validation_loss(Batch(train.x()))
        # neither is cut to [0, 1]
        torch.testing.assert_close(model.validation_loss(Batch(x)), squared_error(model.reconstruct(x), x))
        torch.testing.assert_close(pca.validation_loss(Batch(x)), squared_error(pca.reconstruct(x), x))


def squared_error(restored, x):
    return (restored - x).square().flatten(1).sum(1).mean()


def test_the_linear_ae_starts_as_a_projection_about_the_batchs_mean():
    model = build(LinearAE, SPECS["vectors"], latent_dim=4)
    x = data_points(SPECS["vectors"]) + 3
    model.setup(Batch(x))
    with torch.no_grad():
        codes, restored = model.encode(x), model.reconstruct(x)
        torch.testing.assert_close(codes.mean(0), torch.zeros(4), rtol=0, atol=1e-5)
        torch.testing.assert_close(restored.mean(0), x.mean(0))
        torch.testing.assert_close(model.reconstruct(restored), restored, rtol=0, atol=1e-4)


def test_the_linear_ae_has_no_options_of_networks():
    assert not {"network", "width", "layers", "nodes", "activation", "loss"} & set(LinearAE.Config.model_fields)
    assert {"latent_dim", "density", "components", "learning_rate"} <= set(LinearAE.Config.model_fields)


def dense_layers(network):
    """Inputs, outputs and what follows of each linear layer."""
    parts = [part for part in network.modules() if not any(part.children())]
    return [
        (part.in_features, part.out_features, type(after).__name__)
        for part, after in zip(parts, [*parts[1:], None], strict=True)
        if isinstance(part, nn.Linear)
    ]


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"nodes": "1000-500-250"}, (1000, 500, 250)),
        ({"nodes": "100"}, (100,)),
        ({"layers": 3}, (512, 512, 512)),
        ({"layers": 3, "nodes": "100"}, (100, 100, 100)),
        ({"layers": 2, "nodes": "100-50"}, (100, 50)),
        ({"layers": 0}, ()),
        ({"network": "mlp"}, (512, 512)),
    ],
    ids=str,
)
def test_the_layers_are_those_asked_for_and_the_decoder_mirrors_them(options, sizes):
    model = build(AE, SPECS["digits"], latent_dim=30, activation="tanh", **options)
    around = (64, *sizes, 30)
    there, back = list(itertools.pairwise(around)), list(itertools.pairwise(around[::-1]))
    ends = ["Tanh"] * len(sizes)
    assert dense_layers(model.encoder) == [(*size, end) for size, end in zip(there, [*ends, "NoneType"], strict=True)]
    assert dense_layers(model.decoder) == [(*size, end) for size, end in zip(back, [*ends, "Unflatten"], strict=True)]


def test_images_have_convolutions_unless_an_option_is_of_other_networks():
    def convolutional(spec, **options):
        return any(isinstance(part, nn.Conv2d) for part in build(AE, spec, **options).modules())

    assert convolutional(SPECS["digits"])
    assert convolutional(SPECS["digits"], network="conv", latent_dim=3, width=4)
    for options in ({"network": "mlp"}, {"nodes": "20"}, {"layers": 1}, {"activation": "relu"}):
        assert not convolutional(SPECS["digits"], **options)
    assert not convolutional(SPECS["vectors"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("nodes=1000-500,layers=3", "nodes=1000-500 lists 2 layers, layers=3"),
        ("nodes=1000-500,network=conv", "nodes is an option of network=mlp, not of network=conv"),
        ("layers=0,network=conv", "layers is an option of network=mlp, not of network=conv"),
        ("activation=relu,network=conv", "activation is an option of network=mlp, not of network=conv"),
        ("nodes=1000-,latent_dim=3", "option nodes=1000-: "),
        ("nodes=0", "option nodes=0: "),
        ("layers=-1", "option layers=-1: "),
        ("latent_dim=0", "option latent_dim=0: "),
        ("loss=bce", "option loss=bce: "),
        ("density=normal", "option density=normal: "),
    ],
)
def test_options_that_make_no_sense_are_refused_in_a_line(options, message):
    (reference,) = parse_references(f"ae[{options}]")
    with pytest.raises(UsageError) as refusal:
        validate(AE.Config, reference, "model")
    assert f"model 'ae'{', ' if message.startswith('option') else ': '}{message}" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_sandwich_can_be_written_on_the_command_line():
    (reference,) = parse_references("ae[nodes=1000-500-250,latent_dim=30]")
    config = validate(AE.Config, reference, "model")
    assert config.hidden == (1000, 500, 250)
    (reference,) = parse_references("ae[nodes=300,latent_dim=30]")
    assert validate(AE.Config, reference, "model").hidden == (300,)
    again = AE.Config.model_validate(config.model_dump(mode="json"))
    assert again == config
    assert again.architecture == "mlp"


def test_a_config_of_defaults_can_be_written_out_and_read_again():
    for options in ({"network": "conv"}, {}):
        config = AE.Config(**options)
        assert AE.Config.model_validate(config.model_dump(mode="json")).architecture == config.architecture


def test_squared_error_and_cross_entropy_are_sums_over_dimensions_and_means_over_points():
    x, output = data_points(SPECS["digits"]), torch.randn(24, 1, 8, 8)
    squares = build(AE, SPECS["digits"]).error(output, x)
    assert float(squares) == pytest.approx(float(((output - x).double() ** 2).sum()) / 24, rel=1e-6)
    p = output.double().sigmoid()
    known = -(x * p.log() + (1 - x) * (1 - p).log()).sum() / 24
    crossed = build(AE, SPECS["digits"], loss="cross-entropy").error(output, x)
    assert float(crossed) == pytest.approx(float(known), rel=1e-6)


@pytest.mark.parametrize("network", ["conv", "mlp"])
def test_cross_entropy_learns_and_restores_in_the_open_interval(digits, network):
    train, test = digits
    model = build(AE, SPECS["digits"], loss="cross-entropy", network=network)
    with torch.no_grad():
        before = squared_error(model.reconstruct(test.x()), test.x())
    trained(model, train, steps=60)
    with torch.no_grad():
        restored = model.reconstruct(test.x())
    assert 0 < float(restored.min()) < float(restored.max()) < 1
    assert squared_error(restored, test.x()) < 0.5 * before
    output = model.decoder(model.encode(test.x()))
    torch.testing.assert_close(restored, output.sigmoid())


def test_cross_entropy_of_data_that_is_not_between_0_and_1_is_refused():
    for name in ("plane", "vectors"):
        with pytest.raises(UnsupportedData, match=r"^loss=cross-entropy needs data in \[0, 1\], this is continuous$"):
            build(AE, SPECS[name], loss="cross-entropy")
    build(AE, SPECS["mnist"], loss="cross-entropy")


def test_networks_of_other_shapes_are_no_option():
    with pytest.raises(ValidationError, match="network"):
        AE.Config(network="transformer")


def test_ae_reconstructions_stay_in_the_datas_range():
    ae = build(AE, SPECS["digits"]).eval()
    with torch.no_grad():
        ae.decoder.net[-1].bias.fill_(5.0)
        assert bool((ae.reconstruct(data_points(SPECS["digits"])) == 1).all())

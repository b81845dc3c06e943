import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import genbench_ae
from genbench.data import Options
from genbench.data.device import DeviceSplit
from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_ae.ae import AE
from genbench_ae.pca import PCA
from genbench_ae.ppca import PPCA
from genbench_datasets.digits import Digits

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


@pytest.fixture(scope="module")
def digits():
    dataset = Digits(Options(), Path()).load()
    return [DeviceSplit(dataset, name, torch.device("cpu")) for name in ("train", "test")]


def test_the_package_lists_its_models_without_importing_torch():
    code = (
        "import sys, genbench_ae; names = [m.name for m in genbench_ae.genbench_models()]; "
        "assert names == ['pca', 'ppca', 'ae'], names; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert genbench_ae.GENBENCH_API == 1


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("cls", [PCA, PPCA, AE])
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
    assert codes.shape[1] < spec.dims
    assert restored.shape == batch.x.shape
    assert codes.dtype == restored.dtype == torch.float32
    assert loss.shape == ()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("cls", [PCA, PPCA, AE])
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


@pytest.mark.parametrize("cls", [PCA, PPCA, AE])
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


@pytest.mark.parametrize("cls", [PCA, PPCA, AE])
def test_a_copy_made_before_training_trains_alike(cls):
    spec = SPECS["digits"]
    model = build(cls, spec)
    other = copy.deepcopy(model)
    batch = Batch(data_points(spec))
    losses = [float(m.update(batch, 0.1)["loss"]) for m in (model, other)]
    assert losses[0] == losses[1]
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("cls", [PCA, PPCA, AE])
def test_a_code_as_large_as_the_data_is_refused(cls):
    with pytest.raises(UnsupportedData, match="latent_dim=64 is no smaller than the data's 64 dimensions"):
        build(cls, SPECS["digits"], latent_dim=64)
    assert build(cls, SPECS["digits"], latent_dim=63) is not None


@pytest.mark.parametrize("cls", [PCA, PPCA, AE])
def test_data_of_one_dimension_is_refused(cls):
    with pytest.raises(UnsupportedData, match="at least 2 dimensions"):
        cls.check_data(DataSpec((1,), "continuous"))


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
    ae = build(AE, SPECS["digits"], latent_dim=8, network=network)
    batches = train.shuffled(128, torch.Generator().manual_seed(0))
    steps = 400
    for step in range(steps):
        ae.update(next(batches), step / steps)
    with torch.no_grad():
        assert ae.eval().validation_loss(Batch(test.x())) < 0.9 * pca.validation_loss(Batch(test.x()))


def test_ae_reconstructions_stay_in_the_datas_range():
    ae = build(AE, SPECS["digits"]).eval()
    with torch.no_grad():
        ae.decoder.net[-1].bias.fill_(5.0)
        assert bool((ae.reconstruct(data_points(SPECS["digits"])) == 1).all())

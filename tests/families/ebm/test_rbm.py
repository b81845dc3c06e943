import copy

import pytest
import torch

from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_ebm.rbm import RBM

SPEC = DataSpec((1, 8, 8), "binary", 2, 10)


def stripes(n):
    """Images whose rows are all alike."""
    return torch.bernoulli(torch.full((n, 1, 1, 8), 0.5)).expand(n, 1, 8, 8).contiguous()


def trained(steps=1500, **options):
    torch.manual_seed(0)
    model = RBM(SPEC, RBM.Config(hidden=32, sampling_steps=100, learning_rate=0.1, **options))
    model.setup(Batch(stripes(500)))
    for i in range(steps):
        model.update(Batch(stripes(100)), i / steps)
    return model.eval()


@pytest.fixture(scope="module")
def model():
    return trained()


def test_samples_are_binary_images_like_the_data(model):
    x = model.sample(200)
    assert x.shape == (200, 1, 8, 8)
    assert set(x.unique().tolist()) <= {0.0, 1.0}
    agreement = (x == x.mode(dim=2, keepdim=True).values).float().mean()
    assert agreement > 0.9  # rows that are independent of each other agree in about 0.64


def test_codes_and_reconstructions_have_their_shapes_and_keep_what_matters(model):
    x = stripes(50)
    assert model.encode(x).shape == (50, 32)
    reconstructed = model.reconstruct(x)
    assert reconstructed.shape == x.shape
    assert (reconstructed - x).square().mean() < 0.05


def test_a_reconstruction_is_the_decoded_code(model):
    x = stripes(50)
    assert torch.equal(model.decode(model.encode(x)), model.reconstruct(x))
    nothing = model.decode(torch.zeros(1, 32)).flatten()
    torch.testing.assert_close(nothing, torch.sigmoid(model.visible_bias))


def test_only_binary_data_will_do():
    with pytest.raises(UnsupportedData, match="needs binary data, this is discrete"):
        RBM.check_data(DataSpec((1, 8, 8), "discrete", 17))


def test_there_is_no_validation_objective(model):
    assert model.validation_loss(Batch(stripes(5))) is None


def test_a_checkpoint_restores_samples_and_energies(model):
    other = RBM(SPEC, model.config)
    other.load_state_dict(model.state_dict())
    x = stripes(5).flatten(1)
    assert torch.equal(model.free_energy(x), other.free_energy(x))
    torch.manual_seed(3)
    drawn = model.sample(4)
    torch.manual_seed(3)
    assert torch.equal(drawn, other.sample(4))


def test_the_same_seed_gives_the_same_model_and_a_copy_can_be_trained():
    assert torch.equal(trained(20).weight, trained(20).weight)
    torch.manual_seed(0)
    model = RBM(SPEC, RBM.Config())
    twin = copy.deepcopy(model)
    twin.update(Batch(stripes(100)), 0.0)
    assert not torch.equal(twin.weight, model.weight)

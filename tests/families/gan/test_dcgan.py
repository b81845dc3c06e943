import copy
import math

import pytest
import torch

from genbench.model import Batch, DataSpec, UnsupportedData, snap
from genbench_gan.dcgan import DCGAN

SPECS = [
    DataSpec((1, 8, 8), "discrete", 17, 10),
    DataSpec((1, 28, 28), "binary", 2, 10),
    DataSpec((3, 32, 32), "discrete", 256, 10),
    DataSpec((3, 9, 13), "discrete", 256, 10),
]


def build(spec, **options):
    torch.manual_seed(0)
    return DCGAN(spec, DCGAN.Config(width=8, latent_dim=8, **options))


def bars(n, spec=SPECS[0]):
    """A bright column at one of two places."""
    x = torch.zeros(n, *spec.shape)
    x[torch.arange(n), :, :, torch.randint(0, 2, (n,)) * 4 + 1] = 1.0
    return x


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_samples_have_the_data_s_shape_and_levels(spec):
    model = build(spec)
    model.update(Batch(torch.rand(8, *spec.shape).round()), 0.0)
    x = model.eval().sample(5)
    assert x.shape == (5, *spec.shape)
    levels = x * (spec.levels - 1)
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert 0 <= x.min() <= x.max() <= 1


def test_each_network_is_moved_by_its_own_loss_alone():
    model = build(SPECS[0])
    x = bars(16)
    model.update(Batch(x), 0.0)
    generator, critic = model._optimizers
    own = {id(p) for group in generator.param_groups for p in group["params"]}
    assert own == {id(p) for p in model.generator.parameters()}
    own = {id(p) for group in critic.param_groups for p in group["params"]}
    assert own == {id(p) for p in model.discriminator.parameters()}
    # the discriminator's gradients are those of its own loss: the generator's, which comes later, adds nothing to them
    critic = build(SPECS[0])
    critic.update(Batch(x), 0.0)
    model = copy.deepcopy(critic)
    torch.manual_seed(1)
    model.update(Batch(x), 0.0)
    torch.manual_seed(1)
    fake = critic.generator(torch.randn(16, 8))
    real_logit, fake_logit = critic.discriminator(x), critic.discriminator(snap(fake, 17).detach())
    loss = torch.nn.functional.softplus(-real_logit).mean() + torch.nn.functional.softplus(fake_logit).mean()
    expected = torch.autograd.grad(loss, list(critic.discriminator.parameters()))
    for parameter, gradient in zip(model.discriminator.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)
        assert parameter.requires_grad


def test_the_discriminator_that_cannot_tell_has_the_loss_2_ln_2():
    model = build(SPECS[0])
    last = model.discriminator[-2]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    scalars = model.update(Batch(bars(16)), 0.0)
    assert scalars["discriminator_loss"].item() == pytest.approx(2 * math.log(2))


def test_training_finds_both_modes():
    model = build(SPECS[0], batch_size=64, learning_rate=2e-3)
    for i in range(300):
        model.update(Batch(bars(64)), i / 300)
    x = model.eval().sample(200)[:, 0]
    columns = x.mean(1).argmax(1)
    share = torch.stack([(columns == column).float().mean() for column in (1, 5)])
    assert share.sum() > 0.95
    assert share.min() > 0.1
    assert (x - bars(1)[0, 0]).square().mean(dim=(1, 2)).median() < 0.25


def test_a_checkpoint_restores_the_samples():
    model = build(SPECS[0])
    for _ in range(3):
        model.update(Batch(bars(16)), 0.0)
    model.eval()
    other = build(SPECS[0]).eval()
    other.load_state_dict(model.state_dict())
    drawn = []
    for each in (model, other):
        torch.manual_seed(5)
        drawn.append(each.sample(6))
    assert torch.equal(*drawn)


def test_vectors_and_real_numbers_are_refused():
    with pytest.raises(UnsupportedData, match="needs images"):
        DCGAN.check_data(DataSpec((5,), "discrete", 4))
    with pytest.raises(UnsupportedData, match="needs binary or discrete data"):
        DCGAN.check_data(DataSpec((1, 8, 8), "continuous"))


def test_there_is_no_validation_objective_and_a_copy_can_be_trained():
    model = build(SPECS[0])
    assert model.validation_loss(Batch(bars(4))) is None
    twin = copy.deepcopy(model)
    twin.update(Batch(bars(4)), 0.0)
    assert not torch.equal(twin.generator.net[0].weight, model.generator.net[0].weight)

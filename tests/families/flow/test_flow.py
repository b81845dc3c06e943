import copy

import pytest
import torch

from genbench.model import Batch, DataSpec
from genbench_flow.independent import Independent
from genbench_flow.realnvp import RealNVP

SPECS = [
    DataSpec((1, 8, 8), "discrete", 17, 10),
    DataSpec((1, 28, 28), "discrete", 256, 10),
    DataSpec((1, 28, 28), "binary", 2, 10),
    DataSpec((3, 32, 32), "discrete", 256, 10),
    DataSpec((1, 7, 5), "discrete", 4),
    DataSpec((2,), "continuous", None, 2),
]


def batch(spec, n=32):
    torch.manual_seed(3)
    x = torch.randn(n, *spec.shape)
    return Batch(x if spec.levels is None else torch.sigmoid(x).mul(spec.levels - 1).round() / (spec.levels - 1))


@pytest.mark.parametrize("cls", [RealNVP, Independent])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_every_kind_of_data_is_fitted_scored_and_sampled(cls, spec):
    torch.manual_seed(0)
    model = cls(spec, cls.Config())
    data = batch(spec)
    model.setup(data)

    def loss():
        torch.manual_seed(4)  # of the same dequantisation noise
        with torch.no_grad():
            return model.eval().validation_loss(data).item()

    before = loss() if cls is RealNVP else float("inf")
    model.train()
    steps = 10 if spec.dims > 100 else 50  # the more dimensions, the more a step gains in all
    for step in range(steps):
        model.update(data, step / steps)
        if model.done:
            break
    assert loss() < before
    with torch.no_grad():
        x = model.sample(6)
        assert x.shape == (6, *spec.shape)
        assert model.log_prob(data.x).shape == (32,)
        other = cls(spec, model.config).eval()
        other.load_state_dict(model.state_dict())
        assert torch.equal(other.log_prob(data.x), model.log_prob(data.x))
    if spec.levels is not None:
        levels = x * (spec.levels - 1)
        assert torch.allclose(levels, levels.round(), atol=1e-3)
        assert 0 <= x.min() <= x.max() <= 1


def test_codes_are_as_many_numbers_as_the_data_and_deterministic():
    model = RealNVP(SPECS[0], RealNVP.Config())
    data = batch(SPECS[0])
    model.setup(data)
    model.eval()
    assert model.encode(data.x).shape == (32, 64)
    assert torch.equal(model.encode(data.x), model.encode(data.x))


def test_a_copy_can_be_trained_and_leaves_the_model_alone():
    torch.manual_seed(0)
    model = RealNVP(SPECS[0], RealNVP.Config())
    twin = copy.deepcopy(model)
    twin.update(batch(SPECS[0]), 0.0)
    for mine, other in zip(
        model.state_dict().values(), RealNVP(SPECS[0], model.config).state_dict().values(), strict=True
    ):
        assert mine.shape == other.shape
    assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_two_clusters_are_told_apart():
    """A mixture of two narrow Gaussians, whose entropy is known, is fitted to within a tenth of a nat."""
    spec = DataSpec((2,), "continuous")
    torch.manual_seed(0)

    def draw(n):
        centres = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])[torch.randint(0, 2, (n,))]
        return Batch(centres + 0.2 * torch.randn(n, 2))

    model = RealNVP(spec, RealNVP.Config())
    model.setup(draw(500))
    for step in range(800):
        model.update(draw(256), step / 800)
    components = torch.distributions.Independent(
        torch.distributions.Normal(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), 0.2), 1
    )
    truth = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.ones(2)), components)
    x = draw(4000).x
    with torch.no_grad():
        gaps = truth.log_prob(x) - model.eval().log_prob(x)
    gap, stderr = gaps.mean().item(), gaps.std().item() / len(x) ** 0.5
    assert gap > -5 * stderr  # no model beats the truth
    assert gap < 0.1

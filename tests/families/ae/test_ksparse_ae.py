import copy
import math

import pytest
import torch

from genbench.model import Batch, DataSpec, UnsupportedData
from genbench_ae.ksparse_ae import KSparseAE

SPECS = {
    "digits": DataSpec((1, 8, 8), "discrete", levels=17),
    "mnist": DataSpec((1, 28, 28), "binary", levels=2),
    "colour": DataSpec((3, 12, 10), "discrete", levels=256),
    "vectors": DataSpec((20,), "continuous"),
    "plane": DataSpec((2,), "continuous"),
    "line": DataSpec((1,), "continuous"),
}


def data_points(spec, n=24):
    torch.manual_seed(0)
    if spec.levels is None:
        return torch.randn(n, *spec.shape)
    return torch.randint(spec.levels, (n, *spec.shape)).float() / (spec.levels - 1)


def build(spec, **options):
    torch.manual_seed(1)
    return KSparseAE(spec, KSparseAE.Config(**options))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_codes_have_k_numbers_in_training_and_at_test_time(spec):
    model = build(spec)
    batch = Batch(data_points(spec))
    for progress in (0.0, 0.5):
        model.train()
        assert math.isfinite(float(model.update(batch, progress)["loss"]))
        for mode in (True, False):
            with torch.no_grad():
                codes = model.train(mode).encode(batch.x)
            assert codes.shape == (24, model.latent_dim)
            assert codes.count_nonzero(dim=1).tolist() == [model.k] * 24


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_reconstructions_are_decoded_codes_and_samples_are_data(spec):
    model = build(spec).eval()
    x = data_points(spec)
    with torch.no_grad():
        codes = model.encode(x)
        assert torch.equal(model.decode(codes), model.reconstruct(x))
        model.finish(Batch(x))
        samples = model.sample(9)
    assert samples.shape == (9, *spec.shape)
    if spec.levels is not None:
        levels = samples * (spec.levels - 1)
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)


def test_sizes_by_default():
    found = {name: (model.latent_dim, model.k) for name, spec in SPECS.items() if (model := build(spec))}
    assert found == {
        "digits": (128, 16),
        "mnist": (512, 16),
        "colour": (512, 16),
        "vectors": (40, 10),
        "plane": (4, 1),
        "line": (2, 1),
    }


def test_k_above_the_code_is_refused():
    with pytest.raises(UnsupportedData, match=r"^k=9 is more than the 8 numbers of a code$"):
        build(SPECS["digits"], latent_dim=8, k=9)
    assert build(SPECS["digits"], latent_dim=8, k=8).k == 8


def test_only_what_was_kept_learns():
    model = build(SPECS["digits"], k=3)
    x = data_points(SPECS["digits"], 1)
    kept = model.encode(x)[0] != 0
    model.loss(Batch(x), 0.0)["loss"].backward()
    gradient = model.encoder[1][0].weight.grad
    assert torch.equal(gradient.abs().sum(1) > 0, kept)


@pytest.mark.parametrize("options", [{"network": "conv", "width": 4}, {"layers": 2, "nodes": "30-20"}])
def test_deeper_networks_are_cut_alike(options):
    model = build(SPECS["digits"], latent_dim=10, k=4, **options)
    with torch.no_grad():
        assert model.encode(data_points(SPECS["digits"])).count_nonzero(dim=1).tolist() == [4] * 24


def test_a_checkpoint_and_a_copy_are_the_same_model():
    spec = SPECS["digits"]
    model = build(spec)
    twin = copy.deepcopy(model)
    batch = Batch(data_points(spec))
    for each in (model, twin):
        each.update(batch, 0.2)
    other = KSparseAE(spec, model.config)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        codes = [each.eval().encode(batch.x) for each in (model, twin, other)]
    assert torch.equal(codes[0], codes[1])
    assert torch.equal(codes[0], codes[2])


def test_training_in_half_precision_keeps_k():
    """bfloat16 has many ties."""
    model = build(SPECS["digits"], k=5)
    batch = Batch(data_points(SPECS["digits"], 200))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert math.isfinite(float(model.update(batch, 0.1)["loss"]))
        with torch.no_grad():
            assert set(model.encode(batch.x).count_nonzero(dim=1).tolist()) == {5}


def test_more_numbers_have_less_error():
    x = data_points(SPECS["digits"], 200)
    losses = []
    for k in (2, 10):
        model = build(SPECS["digits"], k=k, learning_rate=1e-2)
        for step in range(60):
            model.update(Batch(x), step / 60)
        with torch.no_grad():
            losses.append(float(model.validation_loss(Batch(x))))
    assert losses[0] > 1.05 * losses[1]

import itertools
import math

import pytest
import torch
from pydantic import Field, ValidationError
from torch import nn

from genbench.model import (
    ConvDecoder,
    ConvEncoder,
    DataSpec,
    NetworkConfig,
    ResidualBlock,
    UnsupportedData,
    autoencoder,
    he_init,
    mlp,
)

SPECS = {
    "digits": DataSpec((1, 8, 8), "discrete", levels=17),
    "odd": DataSpec((1, 7, 9), "discrete", levels=4),
    "colour": DataSpec((3, 32, 32), "discrete", levels=256),
    "narrow": DataSpec((2, 1, 5), "continuous"),
    "vectors": DataSpec((20,), "continuous"),
}


class Options(NetworkConfig):
    hidden: int = Field(512, description="units")


def linear_sizes(network):
    return [(part.in_features, part.out_features) for part in network.modules() if isinstance(part, nn.Linear)]


def repeated(layer, n):
    """`n` layers made by `layer`, each rectified."""
    return nn.Sequential(*[part for _ in range(n) for part in (layer(), nn.ReLU())])


@pytest.mark.parametrize("network", ["auto", "mlp", "conv"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_an_encoder_and_its_decoder_have_the_shapes_asked_for(spec, network):
    if network == "conv" and not spec.is_image:
        with pytest.raises(UnsupportedData, match="network=conv needs images"):
            autoencoder(spec, network, features=6, latent_dim=3)
        return
    encoder, decoder = autoencoder(spec, network, features=6, latent_dim=3, multiplier=2, width=4, hidden=(10,))
    assert encoder(torch.randn(5, *spec.shape)).shape == (5, 6)
    assert decoder(torch.randn(5, 3)).shape == (5, 2 * spec.shape[0], *spec.shape[1:])
    convolutional = any(isinstance(part, nn.Conv2d) for part in encoder.modules())
    assert convolutional == (network == "conv" or (network == "auto" and spec.is_image))


@pytest.mark.parametrize("hidden", [(), (7,), (30, 20, 10)])
def test_the_decoder_has_the_hidden_layers_of_the_encoder_in_reverse(hidden):
    encoder, decoder = autoencoder(SPECS["vectors"], "mlp", features=6, latent_dim=3, multiplier=2, hidden=hidden)
    assert linear_sizes(encoder) == list(itertools.pairwise((20, *hidden, 6)))
    assert linear_sizes(decoder) == list(itertools.pairwise((3, *hidden[::-1], 40)))


def test_an_mlp_has_activation_and_dropout_between_layers_but_not_at_the_end():
    assert [type(part) for part in mlp((4, 3, 2), nn.Tanh)] == [nn.Linear, nn.Tanh, nn.Linear]
    network = mlp((4, 3, 2), nn.ReLU, dropout=0.2)
    assert [type(part) for part in network] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert network[2].p == 0.2


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: nn.Linear(400, 400), (100, 400)),
        (lambda: nn.Conv2d(32, 32, 3), (10, 32, 20, 20)),
        (lambda: nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1), (4, 32, 8, 8)),
    ],
    ids=["linear", "conv", "transposed"],
)
def test_he_initialisation_keeps_the_size_of_rectified_signals_where_torchs_own_does_not(layer, shape):
    torch.manual_seed(0)
    network = repeated(layer, 3)

    def growth():
        x = torch.randn(shape).relu()
        with torch.no_grad():
            y = network(x)
        if y.ndim == 4:  # away from the edges, where a kernel sees padding
            third = y.shape[2] // 3
            y = y[..., third:-third, third:-third]
        return float(y.square().mean().sqrt() / x.square().mean().sqrt())

    assert growth() < 0.2
    he_init(network)
    assert 0.5 < growth() < 2
    assert all(float(part.bias.detach().abs().max()) == 0 for part in network if not isinstance(part, nn.ReLU))


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(50, 2000), 50),
        (nn.Conv2d(16, 200, 3), 16 * 9),
        (nn.ConvTranspose2d(100, 60, 4, stride=2), 100 * 4),
    ],
    ids=["linear", "conv", "transposed"],
)
def test_he_initialisation_has_the_variance_of_its_formula(layer, fan_in):
    torch.manual_seed(0)
    he_init(layer)
    variance = float(layer.weight.detach().var())
    stderr = (2 / fan_in) * math.sqrt(2 / layer.weight.numel())
    assert variance == pytest.approx(2 / fan_in, abs=5 * stderr)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_convolutions_drop_channels_in_training_only(dropout):
    torch.manual_seed(0)
    spec = SPECS["colour"]
    encoder, decoder = ConvEncoder(spec, 4, 5, dropout=dropout), ConvDecoder(spec, 4, 5, dropout=dropout)
    x = torch.rand(3, *spec.shape)
    for part, given in ((encoder, x), (decoder, torch.randn(3, 5))):
        assert torch.equal(part(given), part(given)) == (dropout == 0)
        part.eval()
        assert torch.equal(part(given), part(given))


def test_a_residual_block_without_weights_is_the_identity():
    torch.manual_seed(0)
    block = ResidualBlock(3)
    x = torch.randn(2, 3, 5, 4)
    assert not torch.allclose(block(x), x)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(block(x), x)


def test_an_option_of_the_other_kind_of_network_is_refused():
    with pytest.raises(ValidationError, match="hidden is an option of network=mlp, not of network=conv"):
        Options(network="conv", hidden=7)
    with pytest.raises(ValidationError, match="width is an option of network=conv, not of network=mlp"):
        Options(network="mlp", width=7)


@pytest.mark.parametrize(
    ("options", "kind"),
    [({}, "auto"), ({"hidden": 7}, "mlp"), ({"width": 7}, "auto"), ({"hidden": 7, "width": 7}, "auto")],
)
def test_options_of_a_fully_connected_network_alone_ask_for_one(options, kind):
    assert Options(**options).architecture == kind

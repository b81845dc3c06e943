from typing import Literal

import pytest
from pydantic import Field

from genbench.errors import UsageError
from genbench.options import Options
from genbench.plan.references import (
    Reference,
    changed,
    parse_references,
    reference_text,
    split_references,
    validate,
)


class Config(Options):
    latent_dim: int = Field(16, ge=1, description="size of the code")
    beta: float = Field(1.0, description="weight")
    sizes: tuple[int, ...] = Field((8, 8), description="layers")
    channels: Literal[1, 3] = Field(1, description="channels")
    warmup: float | None = Field(0.1, description="or none")
    name: str = Field("x", description="any text")


def test_commas_in_brackets_belong_to_the_config():
    assert split_references("vae[latent_dim=2,beta=4], pca") == ["vae[latent_dim=2,beta=4]", "pca"]
    assert parse_references("vae[latent_dim=2,beta=4],pca") == [
        Reference("vae", {"latent_dim": "2", "beta": "4"}),
        Reference("pca"),
    ]


def test_a_sweep_is_every_combination_in_the_order_written():
    expanded = parse_references("vae[latent_dim=2|8,beta=1|4]")
    assert [str(reference) for reference in expanded] == [
        "vae[latent_dim=2,beta=1]",
        "vae[latent_dim=2,beta=4]",
        "vae[latent_dim=8,beta=1]",
        "vae[latent_dim=8,beta=4]",
    ]


@pytest.mark.parametrize(
    "text", ["vae[latent_dim=2", "vae]", "vae[latent_dim]", "vae[=2]", "", "vae[a=1][b=2]", "vae[a=1,a=2]", "va e"]
)
def test_a_malformed_reference_is_refused(text):
    with pytest.raises(UsageError, match="malformed reference"):
        parse_references(text)


def test_values_are_read_by_the_option_s_type():
    options = {
        "latent_dim": "2",
        "beta": "1e-3",
        "sizes": "[256,128]",
        "channels": "3",
        "warmup": "none",
        "name": "12",
    }
    config = validate(Config, Reference("vae", options), "model")
    assert config == Config(latent_dim=2, beta=1e-3, sizes=(256, 128), channels=3, warmup=None, name="12")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dmi": "2"}, "model 'vae': unknown option 'latent_dmi': did you mean latent_dim?"),
        ({"latent_dim": "0"}, "model 'vae', option latent_dim=0: input should be greater than or equal to 1"),
        ({"latent_dim": "two"}, "model 'vae', option latent_dim=two: input should be a valid integer"),
        ({"channels": "2"}, "model 'vae', option channels=2: input should be 1 or 3"),
    ],
)
def test_a_bad_option_is_refused_naming_it_and_what_is_accepted(options, message):
    with pytest.raises(UsageError) as error:
        validate(Config, Reference("vae", options), "model")
    assert str(error.value).startswith(message)


def test_a_label_has_the_options_that_differ_from_their_defaults():
    config = Config(latent_dim=2, beta=1.0, sizes=(8, 4), warmup=None)
    text = reference_text("vae", changed(config))
    assert text == "vae[latent_dim=2,sizes=[8,4],warmup=none]"
    assert validate(Config, parse_references(text)[0], "model") == config

import tomllib
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, field_validator

from genbench.errors import GenbenchError, UsageError
from genbench.options import FilePath, Options
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


QUOTED = {
    """folder[path="run=3,lr=0.1",size=8]""": "run=3,lr=0.1",
    """folder[path='run=3,lr=0.1',size=8]""": "run=3,lr=0.1",
    """folder[ path = "a|b" ,size=8]""": "a|b",
    """folder[path="cut ] here",size=8]""": "cut ] here",
    """folder[path="[x",size=8]""": "[x",
    """folder[path=" spaces ",size=8]""": " spaces ",
    """folder[path="",size=8]""": "",
    r"""folder[path="say \"hi\"",size=8]""": 'say "hi"',
    r"""folder[path="back\\slash",size=8]""": "back\\slash",
    r"""folder[path='back\slash\',size=8]""": "back\\slash\\",
    r"""folder[path="caf\udce9",size=8]""": "caf\udce9",
    """folder[path=it's,size=8]""": "it's",
    """folder[path=6"x4",size=8]""": '6"x4"',
}


@pytest.mark.parametrize(("text", "path"), QUOTED.items())
def test_a_value_in_quotes_may_hold_any_character(text, path):
    (found,) = parse_references(text)
    assert found == Reference("folder", {"path": path, "size": "8"})
    assert parse_references(f"digits,{text},pca") == [Reference("digits"), found, Reference("pca")]
    assert parse_references(str(found)) == [found]


def test_quotes_in_a_suite_file():
    written = tomllib.loads('datasets = [\'folder[path="a,b"]\', "folder[path=\'a,b\']", "folder[path=\\"a,b\\"]"]')
    assert [parse_references(text)[0].options for text in written["datasets"]] == [{"path": "a,b"}] * 3


def test_quotes_in_sweeps_and_lists():
    swept = parse_references("""folder[path="a,b"|'c|d'|e]""")
    assert [reference.options["path"] for reference in swept] == ["a,b", "c|d", "e"]
    (found,) = parse_references('x[names=["a]",  "b,c|"],n=2]')
    assert found.options == {"names": '["a]",  "b,c|"]', "n": "2"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('folder[path="a,b]', "a quote is not closed"),
        ("folder[path='a,b]", "a quote is not closed"),
        ('folder[path="a"b]', "not one value in quotes: write "),
        ("folder[path='a'b']", "a quote is not closed|not one value"),
        (r'folder[path="\d"]', "not one value in quotes"),
        ("folder[path=a]b]", "its brackets don't match .values with brackets need quotes."),
    ],
)
def test_malformed_quotes_are_one_line_that_says_how(text, complaint):
    with pytest.raises(UsageError, match=f"malformed reference .*{complaint}") as error:
        parse_references(text)
    assert "\n" not in str(error.value)


NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
#: Any text, with more of the characters that mean something in a reference.
VALUES = st.text(st.one_of(st.sampled_from("[],|='\"\\ \n{}\udce9"), st.characters()), max_size=12)


@settings(deadline=None)
@given(NAMES, st.dictionaries(NAMES, VALUES, max_size=3))
def test_what_is_written_is_read_back(name, options):
    reference = Reference(name, options)
    assert str(reference).isprintable()
    assert parse_references(f"pca,{reference}") == [Reference("pca"), reference]


class Written(Options):
    path: FilePath = Field(Path("x"), description="any path")
    names: tuple[str, ...] = Field((), description="any texts")
    sizes: dict[str, int] = Field({}, description="any numbers")
    rate: float | None = Field(0.5, description="or none")


PATHS = st.binary(min_size=1, max_size=8).filter(lambda raw: b"\0" not in raw and not raw.startswith(b"file:"))


@settings(deadline=None)
@given(
    st.builds(
        lambda path, **options: Written(path=Path(path.decode("utf-8", "surrogateescape")), **options),
        path=PATHS,
        names=st.lists(VALUES.filter(lambda text: text.isprintable()), max_size=2).map(tuple),
        sizes=st.dictionaries(NAMES, st.integers(-9, 9), max_size=2),
        rate=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    )
)
def test_options_come_back_from_their_label_and_from_a_record(config):
    (reference,) = parse_references(reference_text("x", changed(config)))
    assert validate(Written, reference, "dataset") == config
    assert Written.model_validate_json(config.model_dump_json()) == config


class Raising(Options):
    size: int = Field(1, description="a number")

    @field_validator("size")
    @classmethod
    def _fails(cls, value: int) -> int:
        raise KeyError(value)


def test_a_config_whose_own_code_fails_is_named():
    with pytest.raises(GenbenchError, match=r"^model 'x': its Config raises KeyError: 2"):
        validate(Raising, Reference("x", {"size": "2"}), "model")

from pathlib import Path

import pytest

from genbench.errors import GenbenchError, UsageError
from genbench.plan.suite import find_suite, make_suite, named_suites, parse_seeds, read_suite


def test_a_file_says_what_the_flags_say(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text('models = ["vae", "pca"]\ndatasets = "digits"\nbudget = "5s"\nseeds = 3\nout = "here"\n')
    suite = make_suite(read_suite(path), str(path))
    assert suite.models == ("vae", "pca")
    assert suite.datasets == ("digits",)
    assert suite.seeds == (0, 1, 2)
    assert suite.out == Path("here")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": ["vae"], "bugdet": "5s"}, "here: unknown key 'bugdet': did you mean budget?"),
        ({"models": ["vae"], "seeds": 0}, "here: seeds: there must be at least one seed"),
        ({"models": ["vae"], "seeds": [1, 1]}, "here: seeds: seeds must be distinct"),
        ({"models": ["vae"], "device": "gpu"}, "here: device: "),
        ({"models": ["vae"], "precision": "fp8"}, "here: precision: input should be 'fp32', 'tf32' or 'bf16'"),
        ({}, "no models: name some"),
    ],
)
def test_bad_values_are_refused_naming_the_key(values, message):
    with pytest.raises(UsageError) as error:
        make_suite(values, "here")
    assert str(error.value).startswith(message)


def test_an_unreadable_or_malformed_file_is_named(tmp_path):
    with pytest.raises(GenbenchError, match=r"absent\.toml: No such file"):
        read_suite(tmp_path / "absent.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("models = [")
    with pytest.raises(UsageError, match=r"bad\.toml is no TOML file"):
        read_suite(bad)


@pytest.mark.parametrize(("text", "seeds"), [("3", (0, 1, 2)), ("0,7", (0, 7)), ("7,", (7,))])
def test_seeds_are_a_count_or_a_list(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1,x"])
def test_malformed_seeds_are_refused(text):
    with pytest.raises(UsageError, match="malformed seeds"):
        parse_seeds(text)


@pytest.mark.parametrize("name", named_suites())
def test_a_shipped_suite_is_found_by_name_and_valid(name):
    assert make_suite(read_suite(find_suite(name)), name).models


def test_the_suite_of_the_two_dimensional_comparison_is_shipped():
    models = make_suite(read_suite(find_suite("separation")), "separation").models
    assert [model.partition("[")[0] for model in models] == ["pca", "ae", "vae"]
    assert all("latent_dim=2" in model for model in models)


def test_a_file_is_a_suite_whatever_its_name(tmp_path):
    path = tmp_path / "mine"
    path.write_text('models = ["vae"]')
    assert find_suite(str(path)) == path
    assert find_suite("absent.toml") == Path("absent.toml")


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown suite 'separations': did you mean separation\?"):
        find_suite("separations")

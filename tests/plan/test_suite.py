from pathlib import Path

import pytest

from genbench.errors import UsageError
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
        ({"models": ["vae"], "seeds": -3}, "here: seeds: there must be at least one seed"),
        (
            {"models": ["vae"], "seeds": [-1]},
            "here: seeds: seeds must be distinct numbers from 0 to 9223372036854775807",
        ),
        (
            {"models": ["vae"], "seeds": [2**63]},
            "here: seeds: seeds must be distinct numbers from 0 to 9223372036854775807",
        ),
        ({"models": ["vae"], "seeds": 1.5}, "here: seeds: "),
        ({"models": ["vae"], "seeds": "3"}, "here: seeds: "),
        (
            {"models": ["vae"], "seeds": 20250101},
            "here: seeds: this means 20,250,101 seeds, and a plan has at most 100,000 runs; the one seed is written "
            "[20250101]",
        ),
        ({"models": ["vae"], "seeds": range(100_001)}, "here: seeds: these are 100,001 seeds, and a plan has at most"),
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
    with pytest.raises(UsageError, match=r"absent\.toml: No such file"):
        read_suite(tmp_path / "absent.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("models = [")
    with pytest.raises(UsageError, match=r"bad\.toml is no TOML file"):
        read_suite(bad)


@pytest.mark.parametrize(("text", "seeds"), [("3", (0, 1, 2)), ("0,7", (0, 7)), ("7,", (7,))])
def test_seeds_are_a_count_or_a_list(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1,x", "1.5", ","])
def test_malformed_seeds_are_refused(text):
    with pytest.raises(UsageError, match="malformed seeds"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["20250101", "100000000"])
def test_a_number_that_must_be_one_seed_is_asked_back(text):
    with pytest.raises(UsageError, match=rf"a plan has at most 100,000 runs; the one seed is written {text},$"):
        parse_seeds(text)


def test_a_number_that_can_be_no_seed_is_not_proposed():
    with pytest.raises(UsageError, match=r"18,446,744,073,709,551,616 seeds, and a plan has at most 100,000 runs$"):
        parse_seeds("18446744073709551616")


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


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("separations", "did you mean separation?"),
        ("mime.toml", "did you mean {folder}/mine.toml?"),
        ("absent.toml", "there is no such file; choose from separation"),
    ],
)
def test_a_suite_that_is_not_there_is_refused_with_the_nearest(name, hint, tmp_path):
    (tmp_path / "mine.toml").touch()
    name = str(tmp_path / name) if name.endswith(".toml") else name
    with pytest.raises(UsageError) as error:
        find_suite(name)
    assert str(error.value) == f"unknown suite '{name}': {hint.format(folder=tmp_path)}"

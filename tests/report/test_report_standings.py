from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from genbench.cli import main
from genbench.report.standings import chosen_column, ranked_standings, standings
from genbench.report.tables import build_tables
from genbench.report.terminal import print_standings
from genbench.report.tidy import standings_to_json


@pytest.fixture
def runs(record, number):
    """Three seeds whose noise two models share, and one seed of a third."""
    noise = [0.0, 0.3, -0.2]
    extra = [0.0, 0.01, 0.005]
    made = []
    for seed in range(3):
        made.append(record("good", [number("bits_per_dim", 2.0 + noise[seed], stderr=0.01)], seed=seed))
        made.append(record("worse", [number("bits_per_dim", 2.1 + noise[seed] + extra[seed], stderr=0.01)], seed=seed))
    made.append(record("lone", [number("bits_per_dim", 2.5, kind="exact", stderr=0.01)]))
    made.append(record("dcgan", status="diverged"))
    made.append(record("noise", {"fid": 3.0}, family="reference"))
    return made


def shown(found, width=160, *, terminal=True) -> str:
    console = Console(width=width, force_terminal=terminal, no_color=True, file=io.StringIO(), highlight=False)
    print_standings(found, console)
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())


def first_column(records, name=None):
    return [
        (table, column and standings(table, column))
        for table in build_tables(records)
        for column in [chosen_column(table, name)]
    ]


def lines_of(text: str, label: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.startswith(label)]


def test_models_stand_best_first_with_all_differences(runs):
    ((table, found),) = first_column(runs)

    assert [row.label for row in found.rows] == ["good", "worse", "lone", "dcgan"]
    assert list(found.differences) == [("worse", "good"), ("lone", "good"), ("lone", "worse")]
    assert found.differences["worse", "good"].n == 3
    assert found.to_best(found.rows[0]) is None
    assert found.to_best(found.rows[1]) == found.differences["worse", "good"]
    assert found.to_best(found.rows[3]) is None
    assert [standing.column.name for standing in ranked_standings(table)] == ["bits_per_dim"]


def test_the_terminal_shows_ranks_and_differences(runs):
    text = shown(first_column(runs))

    assert "sorted by bits_per_dim, best first; differences are row less column" in text
    assert lines_of(text, "good") == ["good 3 ≤2.03 ±0.63 1–2"]
    assert lines_of(text, "worse") == ["worse 3 ≤2.14 ±0.63 2–3 ≶+0.105 ±0.012"]
    assert lines_of(text, "lone") == ["lone 1 2.50 ±0.02† 1–3 ≥+0.47 ±0.63† ≥+0.36 ±0.63†"]
    assert lines_of(text, "dcgan") == ["dcgan 0/1 diverged"]
    assert "paired over 3 seeds" in text
    assert "unpaired" in text
    assert "hold for all models of a column at once" in text
    assert "† the two can't be told apart" in text
    assert "≶ between two bounds" in text
    assert "noise" not in text


def test_a_basis_that_all_share_is_said_once(runs):
    text = shown(first_column([run for run in runs if run.spec.label in ("good", "worse")]))

    assert text.count("paired over 3 seeds") == 1
    assert "differences: paired over 3 seeds" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_differences_that_do_not_fit_are_named(record, number, width):
    many = [record(f"model-{i}", [number("bits_per_dim", 2 + 0.1 * i, stderr=0.01)]) for i in range(12)]
    text = shown(first_column(many), width)

    assert max(len(line) for line in text.splitlines() if line.startswith(("model-", "─"))) <= width
    assert re.search(r"not shown here: the differences to .*model-10\n", text)
    assert "not shown here" not in shown(first_column(many), width, terminal=False)


def test_protocols_are_blocks_that_are_not_ranked_together(records):
    text = shown(first_column(records))

    assert "2 protocols, not ranked together: they differ in budget." in text
    assert "differs from the other tables: budget = 5s" in text
    assert "differs from the other tables: budget = 30s" in text


def test_a_table_without_ranks_says_so(record):
    text = shown(first_column([record("only", {"fid": 1.0})]))

    assert "no column has two models that can be ranked" in text


def test_uneven_settings_are_not_compared_and_say_why(record, number):
    uneven = [
        record("a", [number("fid", 1.0, stderr=0.1, protocol="one", n=100, extractor="digits")]),
        record("b", [number("fid", 2.0, stderr=0.1, protocol="two", n=5000, extractor="digits")]),
    ]
    ((_, found),) = first_column(uneven, "fid")

    assert found.differences == {}
    assert not found.ranked
    assert "Measured with different settings, so not ranked: fid (n = 100 or 5000)." in shown([(_, found)])


def test_json_holds_every_pair_once(runs):
    (document,) = json.loads(standings_to_json(first_column(runs)))

    models = {model["label"]: model for model in document["models"]}
    assert document["column"]["name"] == "bits_per_dim"
    assert (models["worse"]["rank_low"], models["worse"]["rank_high"]) == (2, 3)
    assert models["worse"]["protocols"] == ["p"]
    assert models["dcgan"]["rank_low"] is None
    pairs = {(pair["model"], pair["minus"]): pair for pair in document["differences"]}
    assert len(pairs) == 3
    assert pairs["worse", "good"]["distinguishable"] is True
    assert (pairs["worse", "good"]["kind"], pairs["worse", "good"]["n"]) == ("bounds", 3)
    assert pairs["lone", "good"]["distinguishable"] is False


def test_without_errors_there_are_differences_but_no_ranks(record):
    fast = [record(label, {"sample_images_per_s": speed}) for label, speed in (("a", 200.0), ("b", 100.0))]
    text = shown(first_column(fast, "sample_images_per_s"))

    assert lines_of(text, "b") == ["b 1 ~100 ~-100†"]
    assert "differences: no error known" in text
    assert "Ranks count" not in text


def genbench(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def out(runs, fill_folder, tmp_path):
    return str(fill_folder(tmp_path, runs))


def test_the_command_takes_the_first_ranked_column(out, capsys):
    assert genbench("compare", out) == 0
    assert "sorted by bits_per_dim" in capsys.readouterr().out


def test_the_command_takes_a_column_and_prints_json(out, capsys):
    assert genbench("compare", out, "--column", "bits_per_dim", "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["column"]["name"] == "bits_per_dim"


def test_the_command_names_the_nearest_column(out, capsys):
    assert genbench("compare", out, "--column", "bits_per_dimm") == 2
    assert "unknown column 'bits_per_dimm': did you mean bits_per_dim?" in capsys.readouterr().err


def test_a_column_without_numbers_shows_none(out, capsys):
    assert genbench("compare", out, "--column", "kid") == 0
    shown = capsys.readouterr().out
    assert lines_of(shown, "dcgan") == ["dcgan 0/1 diverged"]
    assert "±" not in shown

"""Metrics that were asked for and apply to no model: said under the table with the reason, in every format in prose."""

import json

import pytest
from rich.console import Console

from genbench.report.formats import render
from genbench.report.layout import Unanswered
from genbench.report.tables import build_tables
from genbench.report.terminal import print_tables

LINE = (
    "Not applicable to any model here: disentanglement, mig (factor 'always' is constant); likelihood (no density; no "
    "data)."
)


@pytest.fixture
def tables(record, missing):
    constant = "factor 'always'\nis constant"
    return build_tables(
        [
            record(
                "ae",
                {"reconstruction_mse": 0.1},
                unmeasured=[
                    missing("disentanglement", "not_applicable", constant, "dci_disentanglement"),
                    missing("mig", "not_applicable", constant, "mig"),
                    missing("likelihood", "not_applicable", "no density", "bits_per_dim"),
                    missing("fid", "not_applicable", "no sampler", "fid"),
                    missing("kid", "failed", "it broke", "kid"),
                ],
            ),
            record(
                "vae",
                {"fid": 2.0},
                unmeasured=[
                    missing("disentanglement", "not_applicable", constant, "dci_disentanglement"),
                    missing("mig", "not_applicable", constant, "mig"),
                    missing("likelihood", "not_applicable", "no data", "bits_per_dim"),
                    missing("kid", "not_applicable", "no sampler", "kid"),
                ],
            ),
            record("late", status="timeout", unmeasured=[missing("moons", "not_applicable", "no moon", "moons")]),
            record("noise", family="reference", unmeasured=[missing("moons", "not_applicable", "no moon", "moons")]),
        ]
    )


def test_metrics_that_no_model_has_are_told_from_those_that_failed_or_that_some_have(tables):
    assert tables[0].unanswered == [
        Unanswered(("disentanglement", "mig"), ("factor 'always' is constant",)),
        Unanswered(("likelihood",), ("no density", "no data")),
    ]


def test_they_stand_under_the_table_in_every_format_in_prose(tables, capsys):
    print_tables(tables, Console(width=200))
    assert LINE in capsys.readouterr().out
    assert LINE in render(tables, "md")
    assert LINE.replace("'", "&#39;") in render(tables, "html")
    assert json.loads(render(tables, "json"))[0]["unanswered"][1] == {
        "metrics": ["likelihood"],
        "reasons": ["no density", "no data"],
    }


def test_of_chosen_columns_only_the_metrics_of_these_are_named(record, missing):
    gaps = [
        missing("likelihood", "not_applicable", "no density", "bits_per_dim"),
        missing("mig", "not_applicable", "no factors", "mig"),
    ]
    records = [record("ae", {"reconstruction_mse": 0.1}, unmeasured=gaps)]
    (table,) = build_tables(records, columns=["mig", "reconstruction_mse"])
    assert table.unanswered == [Unanswered(("mig",), ("no factors",))]


def test_nothing_is_said_where_every_metric_has_a_number(record):
    tables = build_tables([record("ae", {"reconstruction_mse": 0.1})])
    assert tables[0].unanswered == []
    assert "Not applicable to any model" not in render(tables, "md")

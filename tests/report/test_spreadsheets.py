"""No cell of a CSV file is run by the spreadsheet that opens it."""

import csv
import io
import json

import pandas as pd
import pytest

from genbench.cli import main
from genbench.report.formats import render, write_tables
from genbench.report.tables import build_tables
from genbench.results.export import export
from genbench.results.spreadsheets import harmless
from genbench.results.store import Store

FORMULAS = ("=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "-", "+", "--1", "-1;=2", "+1 2")
PLAIN = ("", "vae", "-1", "+2.5", "-.5e-3", "1e5", "a=1", "x@y", "'=1", "vae[lr=-1]")


def test_text_that_is_no_formula_stays_as_it_is():
    assert [harmless(text) for text in PLAIN] == list(PLAIN)
    assert [harmless(text) for text in FORMULAS] == [f"'{text}" for text in FORMULAS]
    assert harmless(-1.5) == -1.5
    assert harmless(None) is None


@pytest.fixture
def hostile(record, number):
    """A run whose texts are formulas, the name of a column among them."""
    run = record("=1+1", family="@f", error=None, data="+cmd|' /C calc'!A0")
    spec = run.spec.model_copy(update={"model": "-2+3", "label": "=HYPERLINK(1)"})
    values = [number("fid", -1.5, flags=("=1",)), number("kid", 2.0, protocol="-p+1")]
    object.__setattr__(values[1], "name", "=kid")
    return run.model_copy(update={"spec": spec, "metrics": values, "protocol_hash": "+p"})


def cells(text):
    return [cell for row in csv.reader(io.StringIO(text)) for cell in row]


def test_every_csv_file_is_harmless_and_other_formats_stay_as_they_are(hostile, tmp_path, capsys):
    for suffix in (".csv", ".json", ".parquet"):
        export([hostile], tmp_path / f"all{suffix}")
    tables = build_tables([hostile])
    write_tables(tables, tmp_path)
    Store(tmp_path / "out").publish(hostile)
    with pytest.raises(SystemExit) as end:
        main(["table", str(tmp_path / "out"), "--format", "csv"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    for text in ((tmp_path / "all.csv").read_text(), (tmp_path / "table.csv").read_text(), printed):
        assert "'=HYPERLINK(1)" in cells(text)
        assert "-1.5" in cells(text)
        assert [cell for cell in cells(text) if harmless(cell) != cell] == []
    assert "'=kid_ci" in cells(printed)
    assert json.loads(render(tables, "json"))[0]["rows"][0]["label"] == "=HYPERLINK(1)"
    assert pd.read_parquet(tmp_path / "all.parquet")["label"].tolist() == ["=HYPERLINK(1)"] * 2
    assert {row["label"] for row in json.loads((tmp_path / "all.json").read_text())} == {"=HYPERLINK(1)"}

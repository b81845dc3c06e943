from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from itertools import groupby

import pytest
from rich.console import Console

from genbench.errors import UsageError
from genbench.report.formats import render, write_tables
from genbench.report.tables import build_tables
from genbench.report.terminal import print_tables


class Cells(HTMLParser):
    """The table cells of a document as `(class, text)`, and all tags that occur."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, str]]] = []
        self.tags: set[str] = set()
        self.inside = False
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append((dict(attrs).get("class") or "", ""))
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            kind, text = self.rows[-1][-1]
            self.rows[-1][-1] = (kind, text + data)


def shown(tables, width: int, *, terminal: bool = True) -> str:
    console = Console(width=width, force_terminal=terminal, no_color=True, file=io.StringIO(), highlight=False)
    print_tables(tables, console)
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())


def test_unknown_format():
    with pytest.raises(UsageError, match="unknown format 'markdwon'"):
        render([], "markdwon")


@pytest.mark.parametrize("output", ["md", "csv", "latex", "html", "json"])
def test_every_format_renders_no_tables(output):
    assert isinstance(render([], output), str)


def test_csv_is_tidy_with_full_precision(records, nasty):
    lines = list(csv.DictReader(io.StringIO(render(build_tables(records), "csv"))))

    by_label = {(line["label"], line["budget"]): line for line in lines}
    vae = by_label["vae[latent_dim=16]", "30s"]
    assert float(vae["bits_per_dim"]) == pytest.approx((2.02 + 2.05 + 2.01) / 3, rel=1e-15)
    assert (vae["bits_per_dim_kind"], vae["bits_per_dim_n"], vae["status"]) == ("upper_bound", "3", "ok:3")
    assert by_label["ae", "30s"]["bits_per_dim_kind"] == "not_applicable"
    assert by_label["realnvp", "30s"]["reconstruction_mse_kind"] == "failed"
    assert by_label["dcgan", "30s"]["status"] == "diverged:1"
    assert by_label["vae[latent_dim=2]", "5s"]["fid_kind"] == ""
    assert (nasty, "30s") in by_label
    assert len({line["protocol"] for line in lines}) == 2


def test_json_says_all_that_a_table_knows(records):
    tables = json.loads(render(build_tables(records), "json"))

    rows = {row["label"]: row for row in tables[1]["rows"]}
    assert rows["vae[latent_dim=16]"]["cells"]["bits_per_dim"]["best"] is True
    assert rows["ae"]["cells"]["bits_per_dim"]["reason"] == "it has no density"
    assert tables[1]["protocol"]["hardware"] == {"cpu": "Some CPU @ 2 GHz", "threads": 2}
    assert [problem["label"] for problem in tables[1]["problems"]] == ["dcgan", "realnvp"]


def test_csv_and_json_carry_ranks_protocols_and_flags(record, number):
    flagged = number("fid", 1.0, stderr=0.1, protocol="abc", flags=("few points", "copies"))
    tables = build_tables([record("a", [flagged]), record("b", [number("fid", 2.0, stderr=0.1, protocol="abc")])])

    first, second = csv.DictReader(io.StringIO(render(tables, "csv")))
    assert (first["fid_rank_low"], first["fid_rank_high"], second["fid_rank_low"]) == ("1", "1", "2")
    assert (first["fid_protocol"], first["fid_flags"], second["fid_flags"]) == ("abc", "few points; copies", "")
    cell = json.loads(render(tables, "json"))[0]["rows"][0]["cells"]["fid"]
    assert (cell["rank_low"], cell["rank_high"], cell["protocols"]) == (1, 1, ["abc"])
    assert cell["flags"] == ["few points", "copies"]
    assert cell["by_seed"] == {"0": 1.0}


def test_json_says_in_what_uneven_columns_differ(record, number):
    tables = build_tables([record(p, [number("fid", 1.0, protocol=p, k=p)]) for p in ("x", "y")])

    (column,) = json.loads(render(tables, "json"))[0]["columns"]
    assert (column["comparable"], column["differs"]) == (False, {"k": ["x", "y"]})


def test_flags_are_marked_and_said_beneath_in_every_format(record, number):
    tables = build_tables(
        [
            record("vae_1", [number("fid", 1.5, flags=("<few> points",)), number("kid", 1.0, flags=("<few> points",))]),
            record("gan", [number("fid", 2.0), number("kid", 1.0, flags=("<few> points",))]),
        ]
    )

    note = "‡ <few> points: fid (vae_1), kid (all)"
    assert "~1.500‡" in shown(tables, 120)
    assert note in shown(tables, 120)
    assert "‡ flagged: a note beneath the table" in shown(tables, 120)
    assert "**~1.500‡**" in render(tables, "md")
    assert r"- ‡ \<few\> points: fid (vae_1), kid (all)" in render(tables, "md")
    latex = render(tables, "latex")
    assert r"1.500$\ddagger$" in latex
    assert r"$\ddagger$ \textless{}few\textgreater{} points: fid (vae\_1), kid (all)." in latex
    page = render(tables, "html")
    assert 'title="&lt;few&gt; points; protocol p">~1.500‡</td>' in page
    assert "<li>‡ &lt;few&gt; points: fid (vae_1), kid (all)</li>" in page


def test_no_flags_no_mark(records):
    tables = build_tables(records)

    assert "‡" not in shown(tables, 160)
    assert all("‡" not in render(tables, output) for output in ("md", "html"))


def test_markdown_has_ranks_only_where_two_models_are_ranked(record, number):
    two = [
        record(label, [number("fid", v, stderr=0.1), number("kid", 1.0, stderr=0.1)])
        for label, v in (("a", 1.0), ("b", 2.0))
    ]
    one = record("a", [number("fid", 1.0, stderr=0.1)])

    assert "| model | fid | kid |\n| :-- | --: | --: |\n| `a` | 1 | 1–2 |\n| `b` | 2 | 1–2 |" in render(
        build_tables(two), "md"
    )
    assert "Ranks" not in render(build_tables([one]), "md")


def test_markdown_keeps_its_columns_whatever_a_label_holds(records, nasty):
    text = render(build_tables(records), "md")

    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.split(r"(?<!\\)\|", line)) for line in rows]
    # two tables, the second with the ranks in those columns in which an error is known
    assert [width for width, _ in groupby(widths)] == [5, 13, 6]
    assert f"`` {nasty.replace('|', chr(92) + '|')} ``" in text
    assert "**≤2.027 ±0.052**" in text
    assert "| diverged |" in text
    assert text.count("### digits") == 2
    assert "Differs from the other tables: budget = 5s" in text


def test_latex_escapes_labels_and_balances(records):
    text = render(build_tables(records), "latex")

    assert r"\textless{}script\textgreater{}" in text
    assert r"\$a\_1\$\&\textbackslash{}" in text
    assert r"\textbf{$\leq$2.027 $\pm$0.052}" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert not set(text) & set("≤≥±†↑↓–·")


def test_html_escapes_everything(records, nasty):
    text = render(build_tables(records), "html")
    cells = Cells(text)

    assert "script" not in cells.tags
    assert [row for row in cells.rows if row[0][1] == nasty]
    vae = next(row for row in cells.rows if len(row) > 4 and row[0][1] == "vae[latent_dim=16]")
    assert vae[2] == ("number best", "≤2.027 ±0.052")
    states = {kind for row in cells.rows for kind, _ in row}
    assert {"number failed", "number missing", ""} <= states


def test_html_shows_all_columns_the_main_ones_first(records):
    table = build_tables(records)[1]

    heads = Cells(render([table], "html")).rows[0]
    arrows = {"higher": "↑", "lower": "↓", "neither": ""}
    assert [text for _, text in heads[2:]] == [
        column.name + f"{column.unit} {arrows[column.better]}".strip()
        for column in [*(c for c in table.columns if c.main), *(c for c in table.columns if not c.main)]
    ]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_terminal_is_never_overrun(records, width):
    tables = build_tables(records)
    text = shown(tables, width)

    grid = [line for line in text.splitlines() if line.startswith(("vae", "ae", "─", "realnvp  "))]
    assert len(grid) >= 6
    assert max(len(line) for line in grid) <= width
    assert "bits_per_dim" in text
    assert re.search(r"not shown here: .*parameters", text)


def test_the_terminal_shows_brackets_as_they_are(records):
    text = shown(build_tables(records), 160)

    assert "vae[latent_dim=16]" in text
    assert "dcgan seed 0: diverged in training: Diverged: the loss is nan at step 312" in text


def test_a_file_gets_all_main_columns(records):
    text = shown(build_tables(records), 80, terminal=False)

    assert "sample_" in text
    assert "not shown here: log_likelihood, elbo, knn_accuracy, probe_accuracy, parameters" in text


def test_the_legend_explains_what_occurs_and_nothing_else(record, number):
    exact = build_tables([record("a", [number("parameters", 3.0)])])
    bound = build_tables([record("a", [number("bits_per_dim", 3.0, stderr=0.1)])])

    assert "bound" not in shown(exact, 120)
    assert "≤ an upper bound" in shown(bound, 120)
    assert "1.96 standard errors" in shown(bound, 120)
    assert "Student" not in shown(bound, 120)


def test_columns_without_errors_are_said_once_and_not_ranked(record, number):
    def runs(stderr):
        speeds = {"a": 9000.0, "b": 100.0, "c": 50.0}
        return [
            record(label, [number("train_images_per_s", speed), number("fid", speed / 50, stderr=stderr)])
            for label, speed in speeds.items()
        ]

    said = "Without an error bar, so that nothing can be said about differences and no ranks are given: "
    for output in ("md", "html"):
        text = render(build_tables(runs(0.5)), output)
        assert f"{said}train_images_per_s." in text
        assert text.count(said) == 1
        assert "~100" in text
        assert "~100†" not in text
    assert "**~9,000**" in render(build_tables(runs(0.5)), "md")
    assert "| model | fid |\n" in render(build_tables(runs(0.5)), "md")
    assert f"{said}fid, train_images_per_s." in " ".join(shown(build_tables(runs(None)), 160).split())
    assert "†" not in shown(build_tables(runs(None)), 160)


def test_no_error_is_missed_where_nothing_is_compared(record):
    assert "Without an error bar" not in shown(build_tables([record("a", {"fid": 1.0, "parameters": 3.0})]), 120)
    both = [record(label, {"parameters": 3.0}) for label in "ab"]
    assert "Without an error bar" not in shown(build_tables(both), 120)


def test_columns_that_nobody_has_are_not_missed(record, missing):
    gap = missing("likelihood", "not_applicable", "it has no density", "log_likelihood")

    assert "not shown here" not in shown(build_tables([record("a", {"fid": 1.0}, unmeasured=[gap])]), 120)


def test_a_small_interval_beside_large_ones_is_not_rounded_away(record, number):
    widths = {"a": 20.0, "b": 30.0, "c": 0.2, "d": 1e-7}
    table = build_tables([record(label, [number("fid", 41.23456, stderr=w)]) for label, w in widths.items()])

    text = shown(table, 120)
    assert "~41 ±39" in text
    assert "~41.23 ±0.39" in text
    assert "~41.23 ±2e-07" in text


def test_terminal_escapes_of_others_are_not_passed_on(record):
    table = build_tables([record("a\x1b[31mb\x07", {"fid": 1.0})])

    assert "ab" in shown(table, 100)
    for output in ("md", "csv", "latex", "html"):
        assert "\x1b" not in render(table, output)


def test_write_tables(records, tmp_path):
    paths = write_tables(build_tables(records), tmp_path)

    assert [path.name for path in paths] == ["table.csv", "table.md"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv", "table.md"]
    assert paths[1].read_text(encoding="utf-8") == render(build_tables(records), "md")

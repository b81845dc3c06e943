"""Records that somebody else made may say anything: no format is broken by it, no file elsewhere is read or written."""

import csv
import functools
import io
import json
import os
import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from reports import write_report
from rich.console import Console

from genbench.cli import main
from genbench.report.failures import failures
from genbench.report.files import write_all
from genbench.report.formats import render
from genbench.report.protocols import one_line
from genbench.report.standings import chosen_column, standings
from genbench.report.tables import build_tables
from genbench.report.terminal import print_failures, print_standings, print_tables
from genbench.report.tidy import standings_to_json
from genbench.results.schema import Failure, Record
from genbench.results.store import Store

ESCAPES = "\x1b[31mred\x1b[2J\x1b]0;title\x07\x9b2J\x00\x08\u2028\u202egnp.\u2066"
HOSTILE = (
    "<script>alert({n})</script>\"' onload=alert(1) style='x'><img src=x onerror=alert(2)>&lt;b&gt; | `code` ``` "
    "\n\n# heading\r\n- item\n| a | b |\n\\input{{x}} $\\frac{{$ % & [a](javascript:alert(3)) ![](http://x/y.png) "
    f"<!-- --> {{{{{{{{ 7*7 }}}}}}}} {ESCAPES} ../../evil"
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
#: Fields that are not free: the schema allows few values, or none of these characters.
FIXED = {"schema", "key", "status", "kind", "better", "select", "family", "points", "checksum"}
LINES, COLUMNS = {"unit", "protocol", "protocol_hash"}, {"name", "metric", "names"}
#: Dicts with names that are as free as their values.
FREE = {
    "metric_protocols",
    "config",
    "dataset_config",
    "view",
    "metrics",
    "protocol",
    "selected",
    "provenance",
    "settings",
}
#: Dicts of numbers or file names, with what else is put there.
ADDED = {"timing": 1.0, "artifacts": "samples.png"}


@functools.cache
def hostile(text):
    """A text meant to break every format, another one for each text that it stands for."""
    return HOSTILE.format(n=text)


def spoil(value, name, columns):
    """The JSON value with hostile text in place of all text that is free, and in the names of free dicts too; with
    `columns` also in the names of columns, where no two lines can be."""
    if isinstance(value, dict):
        if name in ADDED:
            return value | {hostile(name): ADDED[name]}
        spoilt = {field: spoil(item, field, columns) for field, item in value.items()}
        return (
            spoilt | {hostile(name): {hostile("x"): [hostile("y"), {hostile("z"): None}]}} if name in FREE else spoilt
        )
    if isinstance(value, list):
        return [spoil(item, name if isinstance(item, str) else "", columns) for item in value]
    if not isinstance(value, str) or name in FIXED:
        return value
    if name in LINES:
        return one_line(hostile(value))
    if name in COLUMNS:
        return one_line(hostile(value)) if columns else value
    return hostile(value)


def spoilt(record, *, columns):
    document = json.loads(record.model_dump_json(by_alias=True))
    for point in document["curve"]:
        point["scalars"] = {hostile("scalar"): 1.0}
        if columns:
            point["metrics"] = {one_line(hostile(name)): number for name, number in point["metrics"].items()}
    return Record.model_validate(
        {name: item if name == "curve" else spoil(item, name, columns) for name, item in document.items()}
    )


@pytest.fixture(scope="module", params=[False, True], ids=["texts", "columns"])
def untrusted(request, records):
    """The records of two protocols, every text hostile, without and with the names of columns."""
    killed = records[6].model_copy(
        update={
            "key": "0" * 16,
            "status": "killed",
            "error": Failure(phase="x", type="y", message="z", signal="SIGNAL", log_tail="tail"),
        }
    )
    chosen = [records[n] for n in (0, 1, 3, 6, 8, 10)]
    return [spoilt(record, columns=request.param) for record in [*chosen, killed]]


class Page(HTMLParser):
    """The tags and attributes of a page, and what it says."""

    def __init__(self, document):
        super().__init__()
        self.tags, self.attributes, self.links, self.comments, self.text = Counter(), set(), [], [], ""
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.comments.append(data)


#: What the templates consist of.
TAGS = (
    "a b body br code dd details div dl dt figcaption figure h1 h2 h3 head header html img li main meta nav p pre "
    "script section small span style summary table tbody td th thead title tr ul"
)
ATTRIBUTES = "alt charset class content data-value href http-equiv id lang name open scope src title"
LATEX = (
    "texttt textbf textbackslash textasciitilde textasciicircum textless textgreater textbar ldots begin end centering"
)
LATEX += " toprule midrule bottomrule caption usepackage"
FORMULAS = "cdot dagger ddagger pm leq geq downarrow uparrow"


def shows_no_markup(document):
    page = Page(document)
    assert set(page.tags) <= set(TAGS.split())
    assert page.attributes <= set(ATTRIBUTES.split())
    assert not page.comments
    assert not CONTROL.search(document)
    assert "<script>alert(" in page.text  # as text
    return page


def test_the_page_shows_hostile_text_and_does_nothing_it_says(untrusted, fill_folder, tmp_path):
    out = fill_folder(tmp_path / "out", untrusted)

    paths = write_all(out)

    page = shows_no_markup((out / "report.html").read_text(encoding="utf-8"))
    assert page.tags["script"] == 1
    assert all(link.startswith(("data:image/png;base64,", "#protocol-", "#failures")) for link in page.links)
    for text in ("the loss is nan at step 312", "Diverged", "SIGNAL", "tail", "digits", "dcgan", "30s", "fp32", "vae"):
        assert f"<script>alert({text})</script>" in page.text
    assert all(path.resolve().is_relative_to(out) for path in paths)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_fragment_shows_hostile_text_and_does_nothing_it_says(untrusted):
    page = shows_no_markup(render(build_tables(untrusted), "html"))

    assert page.tags["script"] == 0
    assert page.links == []


def test_markdown_stays_what_it_is(untrusted):
    tables = build_tables(untrusted)

    text = render(tables, "md")

    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inside = [child for token in tokens for child in token.children or []]
    assert Counter(token.type for token in tokens)["heading_open"] == len(tables)
    assert {token.type for token in tokens} <= {
        *(
            f"{kind}_{end}"
            for kind in ("heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td")
            for end in ("open", "close")
        ),
        *("inline", "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
    }
    assert {child.type for child in inside} <= {
        "text",
        "text_special",
        "code_inline",
        "html_inline",
        "strong_open",
        "strong_close",
    }
    assert {child.content for child in inside if child.type == "html_inline"} <= {"<br>"}
    assert not CONTROL.search(text)
    widths = [
        {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        for block in text.split("\n\n")
        if block.startswith("|")
    ]
    assert len(widths) >= len(tables)
    assert all(len(found) == 1 for found in widths)
    assert "<script>alert(vae[latent_dim=16])</script>" in "".join(child.content for child in inside)


def test_latex_stays_what_it_is(untrusted):
    text = render(build_tables(untrusted), "latex")

    commands = set(re.findall(r"\\([A-Za-z]+|.)", text.replace("\\\\", "")))
    assert commands <= {*LATEX.split(), *FORMULAS.split(), *"&%$#_{}"}
    formulas = re.findall(r"\$([^$]*)\$", re.sub(r"\\[^A-Za-z]", "", text))
    assert set(formulas) <= {"n", *(f"\\{name}" for name in FORMULAS.split())}
    assert not CONTROL.search(text)
    for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.DOTALL):
        rows = [line for line in body.splitlines() if line != r"\midrule"]
        assert all(row.endswith(r" \\") for row in rows)
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert r"\textless{}script\textgreater{}alert(vae[latent\_dim=16])" in text


def test_csv_and_json_stay_what_they_are(untrusted):
    tables = build_tables(untrusted)

    lines = list(csv.reader(io.StringIO(render(tables, "csv"))))
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 1 + sum(len(table.rows) for table in tables)
    assert not any(CONTROL.search(cell) for line in lines for cell in line)
    text = render(tables, "json")
    assert text.isascii()
    assert "\x1b" not in text
    assert len(json.loads(text)) == len(tables)


def test_no_escape_reaches_the_terminal(untrusted):
    tables = build_tables(untrusted)
    console = Console(width=120, force_terminal=True, color_system="standard", file=io.StringIO(), highlight=False)

    print_tables(tables, console)
    found = [(table, standings(table, column) if (column := chosen_column(table, None)) else None) for table in tables]
    print_standings(found, console)
    print_failures(failures(untrusted), len(untrusted), console, verbose=True)

    text = console.file.getvalue()
    assert "script>" in text
    styles = r"\x1b\[[0-9;]*m"
    assert not CONTROL.search(re.sub(styles, "", text))
    assert "\x1b[31mred" not in text
    assert standings_to_json(found).isascii()


def write(out, record, **changes):
    """Write a record as a file that says what it likes."""
    folder = out / "runs" / record.key
    folder.mkdir(parents=True, exist_ok=True)
    document = json.loads(record.model_dump_json(by_alias=True)) | changes
    (folder / "record.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/passwd", "a/b.png", "..", ".", "a.png\n", "a.png\x00", "", "\\x.png"]
)
def test_artifacts_outside_a_runs_folder_are_refused(record, tmp_path, name, capsys):
    good, bad = record("vae", {"fid": 1.0}), record("gan", {"fid": 1.0})
    write(tmp_path, good)
    folder = write(tmp_path, bad, artifacts={"samples": name, "checkpoint": name, "log": name})

    records, skipped = Store(tmp_path).read_all()

    assert records == [good]
    assert [(one.path.parent, "artifacts" in one.reason) for one in skipped] == [(folder, True)]
    for command in (
        ["sample", "--out", str(tmp_path / "s.png")],
        ["gallery"],
        ["reconstruct", "i.png", "--out", "r.png"],
    ):
        with pytest.raises(SystemExit) as end:
            main([command[0], str(folder), *command[1:]])
        assert end.value.code == 2
        assert "not a valid record: artifacts" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


@pytest.mark.parametrize("key", ["../../evil", "..", "0" * 15, "0" * 16 + "\n", "G" * 16])
def test_keys_that_name_other_folders_are_refused(record, tmp_path, key):
    run = record("vae", {"fid": 1.0})
    write(tmp_path, run, key=key)

    records, skipped = Store(tmp_path).read_all()

    assert records == []
    assert "key" in skipped[0].reason


@pytest.mark.parametrize("data", ["../../evil", "/etc/e\x00vil", "d" * 500])
def test_data_may_be_called_anything_and_plots_stay_where_they_belong(record, fill_folder, tmp_path, data):
    run = record("vae", {"bits_per_dim": 2.0, "fid": 1.0}, curve=[3.0, 2.0])
    spec = run.spec.model_copy(update={"data": data, "dataset": data})
    run = run.model_copy(update={"spec": spec, "protocol_hash": "../../../x"})
    out = fill_folder(tmp_path / "out", [run])

    paths = write_report([run], [], out)

    assert len(paths) > 1
    assert {path.resolve().parent for path in paths[:-1]} == {out.resolve() / "plots"}
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert {path.name for path in out.iterdir() if path.is_file()} == {"report.html"}


def test_links_out_of_the_folder_are_not_followed_and_pipes_do_not_block(record, fill_folder, tmp_path):
    artifacts = {"samples": "samples.png", "reconstructions": "reconstructions.png", "log": "log.txt"}
    runs = [record("vae", status="killed", artifacts=artifacts), record("gan", {"fid": 1.0}, artifacts=artifacts)]
    out = fill_folder(tmp_path / "out", runs)
    secret, picture = tmp_path / "secret", tmp_path / "picture.png"
    secret.write_text("the password")
    killed, ok = (Store(out).folder(run.key) for run in runs)
    (killed / "log.txt").unlink()
    (killed / "log.txt").symlink_to(secret)
    picture.write_bytes((ok / "samples.png").read_bytes())
    (ok / "samples.png").unlink()
    (ok / "samples.png").symlink_to(picture)
    (ok / "reconstructions.png").unlink()
    os.mkfifo(ok / "reconstructions.png")

    write_report(runs, [], out)

    text = (out / "report.html").read_text(encoding="utf-8")
    assert "the password" not in text
    assert "data:image/png" not in text
    assert [row.log for row in failures(runs, out)] == [
        "(log.txt is left out: it is a link to a file that is none of a run)"
    ]
    assert "damaged: not a plain file" in text


def test_a_link_within_the_folder_is_followed(record, fill_folder, tmp_path):
    runs = [record(name, status="killed", artifacts={"log": "log.txt"}) for name in ("vae", "gan")]
    out = fill_folder(tmp_path, runs)
    first, second = (Store(out).folder(run.key) / "log.txt" for run in runs)
    first.write_text("the same")
    second.unlink()
    second.symlink_to(first)

    assert {row.log for row in failures(runs, out)} == {"the same"}


@pytest.mark.parametrize("what", ["name", "metric", "unit", "protocol"])
def test_columns_that_look_alike_are_refused(record, tmp_path, what):
    run = record("vae", {"fid": 1.0})
    document = json.loads(run.model_dump_json())["metrics"][0]
    write(tmp_path, run, metrics=[document, document | {what: "fid\u202e"}])

    assert Store(tmp_path).read_all()[0] == []


def nested(levels):
    return {"x": [nested(levels - 1)]} if levels else "end"


def test_what_no_file_can_hold_stops_nothing(record, tmp_path, capsys):
    """Half a surrogate pair, a number of 5,000 digits, or values nested deeply."""
    for n, odd in enumerate(("\ud800", "9" * 5000, nested(90), nested(400))):
        run = record("odd", {"fid": 1.0}, seed=n)
        spec = json.loads(run.spec.model_dump_json())
        label = odd if n == 1 else "odd"
        write(tmp_path, run, spec=spec | {"label": label}, provenance={"x": odd}, protocol={"y": odd})
    write(tmp_path, record("vae", {"fid": 1.0}))

    write_all(tmp_path)

    assert "vae" in (tmp_path / "report.html").read_text(encoding="utf-8")
    for form in ("terminal", "md", "csv", "latex", "html", "json"):
        with pytest.raises(SystemExit) as end:
            main(["table", str(tmp_path), "--format", form])
        assert end.value.code == 0
        assert "vae" in capsys.readouterr().out


def test_errors_that_quote_records_are_one_plain_line(record, tmp_path, capsys):
    run = record("vae", {"fid": 1.0})
    spec = json.loads(run.spec.model_dump_json())
    write(tmp_path, run, spec=spec | {"label": f"vae\n{ESCAPES}"})
    write(tmp_path, record("gan"), **{f"extra\n{ESCAPES}": 1})

    for arguments in (
        ["sample", "vaee", "--results", str(tmp_path), "--out", "x.png"],
        ["table", str(tmp_path), "--sort", "x"],
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert all(line.startswith("genbench: ") for line in said.splitlines())
        assert not CONTROL.search(said)

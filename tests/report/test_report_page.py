from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from reports import write_report

from genbench.report import page as page_module
from genbench.report.files import write_all
from genbench.results.store import Skipped, Store


class Page(HTMLParser):
    """What a report consists of: its text, tags, and where its attributes point."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def report(records, fill_folder, tmp_path_factory) -> Path:
    out = fill_folder(tmp_path_factory.mktemp("report"), records)
    skipped = [Skipped(Path("runs/<i>bad</i>/record.json"), "no JSON document: <b>Expecting value</b>")]
    write_report(records, skipped, out)
    return out / "report.html"


@pytest.fixture
def page(report) -> str:
    return report.read_text(encoding="utf-8")


def test_nothing_is_asked_of_the_network(page):
    links = Page(page).links

    assert links
    assert all(link.startswith(("data:image/png;base64,", "#protocol-", "#failures")) for link in links)
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(", page)


def test_nothing_that_others_wrote_becomes_markup(page, nasty):
    parsed = Page(page)

    assert parsed.tags.count("script") == 1
    assert "i" not in parsed.tags
    assert not parsed.handlers
    assert nasty in parsed.text
    assert "<img src=x onerror=alert(1)>" in parsed.text
    assert "<b>Expecting value</b>" in parsed.text
    assert "\x1b" not in page


def test_all_sections_are_there(page):
    text = Page(page).text

    assert text.count("All numbers") == 2
    assert "12 runs\n(11 ok, 1 diverged),\n2 protocols" in text
    assert "Diverged: the loss is nan at step 312" in text
    assert "RuntimeError: shapes don't match" in text
    assert "genbench run --models vae" in text
    assert "0123456789abcdef0123456789abcdef01234567" in text
    assert "vae[latent_dim=16] (≤2.027 ±0.052); not distinguishable: <script>" in text
    assert "vae[latent_dim=16] (≤2.400); no error is known" in text


def test_ranks_and_differences_to_the_best_are_there(page):
    cells = re.findall(r"<td[^>]*>([^<]*)<br><small title=\"([^\"]*)\">([^<]*)</small></td>", page)

    # independent is proven worse than vae, by its test error and the spread of vae's seeds
    assert ("3–4", "unpaired", "≥+0.393 ±0.065") in cells
    assert ("1–4", "no error known", "~+187.8†") in cells
    assert page.count("<h3>Ranks</h3>") == 1  # in the other table no error is known


def test_every_number_names_its_protocol(page):
    numbers = re.findall(r"<td class=\"number[^>]*data-value[^>]*>", page)

    assert numbers
    assert all('title="protocol p"' in number for number in numbers)
    assert "<dt>bits_per_dim</dt><dd><code>p</code></dd>" in page


def test_pictures_stand_beside_real_data(page):
    captions = re.findall(r"<figcaption>([^<]*)</figcaption>", page)

    assert captions[:5] == ["real (test split)", "dcgan", "independent", "realnvp", "vae[latent_dim=16], seed 0"]
    assert '<div class="no-picture failed">diverged</div>' in page
    assert Page(page).text.count("No picture:") == 2
    # five plots; samples of three models and the data; two reconstructions; the codes of all models
    assert page.count("data:image/png") == 5 + 4 + 2 + 1


def test_broken_files_are_named_and_missing_ones_are_simply_not_shown(records, fill_folder, tmp_path):
    runs = [record for record in records if record.spec.label == "realnvp"]
    fill_folder(tmp_path, runs)
    folder = Store(tmp_path).folder(runs[0].key)
    (folder / "samples.png").write_bytes(b"<svg onload=alert(1)>")
    (folder / "reconstructions.png").unlink()
    (folder / "codes.npz").write_bytes(b"PK\x03\x04 truncated")

    paths = write_report(runs, [], tmp_path)

    page = paths[-1].read_text(encoding="utf-8")
    assert page.count("data:image/png") == len(paths) - 1 == 4
    assert "<svg" not in page
    assert '<div class="no-picture failed">damaged: it is no PNG that can be read: ' in page
    assert "Without realnvp: codes.npz is damaged: it is no npz file that can be read: File is not a zip file" in page
    assert re.findall(r"<li><code>([^<]*)</code>", page.partition("<h2>Damaged files</h2>")[2])[:2] == [
        str(folder / name) for name in ("codes.npz", "samples.png")
    ]


def test_of_very_many_runs_not_all_are_listed(record, tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "RUNS", 2)
    runs = [record("vae", {"fid": 1.0 + seed}, seed=seed) for seed in range(5)]

    page = write_report(runs, [], tmp_path)[-1].read_text(encoding="utf-8")

    assert [run.key in page for run in runs] == [True, True, False, False, False]
    assert "Provenance of 5 runs" in page
    assert "3 more runs are not listed" in page


def test_the_first_seed_that_is_ok_is_shown(record, fill_folder, tmp_path):
    samples = {"samples": "samples.png"}
    runs = [
        record("vae", {"fid": 1.0}, seed=0, status="killed", artifacts=samples),
        record("vae", {"fid": 1.0}, seed=1, artifacts=samples),
        record("vae", {"fid": 1.0}, seed=2, artifacts=samples),
    ]
    fill_folder(tmp_path, runs)

    write_report(runs, [], tmp_path)

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<figcaption>([^<]+)</figcaption>", page) == ["vae, seed 1"]


def test_a_log_is_read_where_the_record_has_none(record, tmp_path):
    run = record("vae", status="killed", artifacts={"log": "log.txt"})
    folder = Store(tmp_path).folder(run.key)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("".join(f"line {i} <u>\n" for i in range(100)), encoding="utf-8")

    write_report([run], [], tmp_path)

    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "line 60 <u>\n" in text
    assert "line 59 <u>" not in text


def test_no_records(tmp_path):
    assert write_report([], [], tmp_path) == [tmp_path / "report.html"]
    assert "There are no records." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_write_all_names_what_it_wrote(records, fill_folder, tmp_path):
    fill_folder(tmp_path, records)

    paths = write_all(tmp_path)

    assert all(path.is_file() for path in paths)
    assert [path.name for path in paths[:2]] == ["table.csv", "table.md"]
    assert paths[-1].name == "report.html"
    assert sum(path.parent.name == "plots" for path in paths) == 6


def test_a_browser_shows_it(report, tmp_path, nasty):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --virtual-time-budget=2000 --dump-dom"
    )
    done = subprocess.run(
        [browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", report.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    dom = Page(done.stdout)
    assert dom.tags.count("script") == 1
    assert dom.tags.count("button") == 3 + 16  # the inline script ran: every column head became a button
    assert not dom.handlers
    assert nasty in dom.text
    assert done.stdout.count('<tr><th scope="row">') == 10 + 4 + 2  # all numbers, ranks, failures
    assert "vae[latent_dim=2]" in dom.text

"""What failed, as plain data and as a section of the page."""

import re

import pytest
from reports import write_report

from genbench.report.failures import failures, summary
from genbench.report.tables import build_tables
from genbench.results.schema import Amount, BudgetUse, Failure
from genbench.results.store import Store


def error(**changes):
    return Failure(**{"phase": "training", "type": "ValueError", "message": "it broke"} | changes)


@pytest.fixture
def bad(record, missing):
    """Records of which a run was killed, one failed, and one has a metric that failed; the others are fine."""
    return [
        record("vae[latent_dim=16]", {"fid": 1.0}),
        record(
            "vae[latent_dim=16]",
            seed=1,
            status="out_of_memory",
            error=error(message="no <memory>\nleft", memory_bytes=3 * 2**30, traceback="Traceback:\n  line <1>"),
        ),
        record("vae[latent_dim=2]", status="killed", error=error(signal="SIGKILL", exit_code=-9, log_tail="10%\r20%")),
        record("flow", {"fid": 2.0}, unmeasured=[missing("kid", "failed", "RuntimeError: no", "kid")]),
        record("ae", {"fid": 2.0}, unmeasured=[missing("kid", "not_applicable", "it can't sample", "kid")]),
    ]


def test_every_run_that_is_not_ok_and_every_failed_metric_is_a_row(bad):
    rows = failures(bad)

    assert [(row.title, row.what, row.reason) for row in rows] == [
        ("flow on digits, seed 0", "failed in metric kid", "RuntimeError: no"),
        ("vae[latent_dim=2] on digits, seed 0", "killed in training", "ValueError: it broke"),
        ("vae[latent_dim=16] on digits, seed 1", "out of memory in training", "ValueError: no <memory> left"),
    ]
    assert [row.key for row in rows] == [bad[3].key, bad[2].key, bad[1].key]
    assert [(row.end, row.memory) for row in rows] == [("", ""), ("SIGKILL", ""), ("", "3,072 MiB")]


def test_how_a_process_ended(record):
    (row,) = failures([record("vae", status="killed", error=error(exit_code=7))])

    assert row.end == "exit code 7"


def test_a_failure_of_which_nothing_is_known(record):
    (row,) = failures([record("vae", status="timeout")])

    assert (row.what, row.reason, row.end) == ("timeout", "no reason is known", "")


@pytest.mark.parametrize(
    ("allowed", "used", "text"),
    [
        (Amount(seconds=30), Amount(seconds=18.2345), "18.2 of 30 s"),
        (Amount(seconds=86400), Amount(seconds=4321.0), "4,321.0 of 86,400 s"),
        (Amount(steps=2000), Amount(), "? of 2,000 steps"),
        (Amount(epochs=5.0), Amount(epochs=2.37, steps=3), "2.37 of 5 epochs"),
        (
            Amount(seconds=60, flops=1e14, memory_bytes=2**32),
            Amount(seconds=1, flops=2.5e13, memory_bytes=2**30),
            "1.0 of 60 s, 2.5e+13 of 1e+14 flop, 1,024 of 4,096 MiB",
        ),
        (Amount(steps=1, memory_bytes=2**30), Amount(steps=10**18), f"{10**18:,} of 1 steps, ? of 1,024 MiB"),
        (Amount(), Amount(steps=3), ""),
    ],
)
def test_budget_used_and_allowed(record, allowed, used, text):
    run = record("vae", status="timeout").model_copy(update={"budget": BudgetUse(allowed=allowed, used=used)})

    assert failures([run])[0].budget == text


def test_the_log_is_that_of_the_record_or_the_file_without_the_same_traceback(record, tmp_path):
    trace = "Traceback (most recent call last):\n  line 1\nValueError: it broke"
    quoting = record("quoting", status="failed", error=error(log_tail="quoted"), artifacts={"log": "log.txt"})
    repeating = record("repeating", status="failed", error=error(traceback=f"{trace}\n"), artifacts={"log": "log.txt"})
    for run in (quoting, repeating):
        folder = Store(tmp_path).folder(run.key)
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text(f"step 1\rstep 2\x1b[1m\n{trace}\n", newline="")

    rows = failures([quoting, repeating], tmp_path)

    assert [(row.traceback, row.log) for row in rows] == [("", "quoted"), (trace, "step 1\nstep 2")]
    assert [row.log for row in failures([repeating])] == [""]


def test_of_a_long_log_only_the_end_is_read(record, tmp_path):
    run = record("chatty", status="killed", artifacts={"log": "log.txt"})
    folder = Store(tmp_path).folder(run.key)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_bytes(b"x" * 10_000_000 + b"\nthe end")

    (row,) = failures([run], tmp_path)

    assert row.log.endswith("x\nthe end")
    assert len(row.log) < 10_000


def test_the_summary(bad):
    killed, ok, partly = bad[2], bad[0], bad[3]

    assert summary(failures(bad), 5) == "2 of 5 runs are not ok, and metrics failed in 1 other"
    assert summary(failures([killed]), 1) == "1 of 1 run is not ok"
    assert summary(failures([partly, ok]), 2) == "metrics failed in 1 of 2 runs, all of which are ok"
    assert summary(failures([ok]), 1) == "nothing failed in 1 run"


def test_tables_list_the_same_failures(bad):
    (table,) = build_tables(bad)

    assert {(problem.key, problem.reason) for problem in table.problems} == {
        (row.key, row.reason) for row in failures(bad)
    }


def test_the_page_has_one_section_with_all_failures(bad, record, tmp_path):
    other = record("flow", status="diverged", budget="5s", error=error(type="Diverged"))

    write_report([*bad, other], [], tmp_path)

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<h2>Failures</h2>") == 1
    section = page[page.index('<section id="failures">') :]
    section = section[: section.index("</section>")]
    cells = [re.findall(r"<t[hd][^>]*>(?:<code>)?([^<]*)", row) for row in re.findall(r"<tr>(.*?)</tr>", section)]
    assert "3 of 6 runs are not ok, and metrics failed in 1 other." in section.replace("\n", "")
    assert len(cells) == 1 + 4
    assert [
        "vae[latent_dim=16]",
        "digits",
        "1",
        "out of memory in training",
        "ValueError: no &lt;memory&gt; left",
        "",
        "30.0 of 30 s",
        "3,072 MiB",
        bad[1].key,
    ] in cells
    assert "<pre>Traceback:\n  line &lt;1&gt;</pre>" in section
    assert "<pre>10%\n20%</pre>" in section
    assert section.count("<details") == 2  # there is nothing more to say of the others
    assert 'href="#failures"' in page


def test_a_page_without_failures_does_not_speak_of_them(record, tmp_path):
    write_report([record("vae", {"fid": 1.0})], [], tmp_path)

    assert "ailures" not in (tmp_path / "report.html").read_text(encoding="utf-8").partition("</style>")[2]


def test_a_page_holds_the_tracebacks_of_the_first_failures_and_lists_all(record, tmp_path, monkeypatch):
    monkeypatch.setattr("genbench.report.page.DETAILS", 2)
    runs = [record("vae", seed=n, status="failed", error=error(traceback=f"trace {n}")) for n in range(5)]

    write_report(runs, [], tmp_path)

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<pre>(.*?)</pre>", page) == ["trace 0", "trace 1"]
    assert all(f"<code>{run.key}</code>" in page for run in runs)
    assert "Tracebacks and logs of the other 3:" in page

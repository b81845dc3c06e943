"""What a run cost, and whether it was starved, as its record's timing says."""

from __future__ import annotations

import pytest

from genbench.report.formats import render
from genbench.report.legend import flag_notes
from genbench.report.tables import build_tables
from genbench.results.account import STARVED, accounted, starvation
from genbench.results.frame import to_frame
from genbench.results.schema import Amount, BudgetUse

NUMBERS = {"bits_per_dim": 2.0, "fid": 9.0, "train_images_per_s": 800.0, "sample_images_per_s": 90.0}


def by_steps(record):
    """The same run under a budget of steps."""
    budget = BudgetUse(allowed=Amount(steps=500), used=Amount(seconds=30.0, steps=500, flops=4e12))
    return record.model_copy(update={"budget": budget})


def flags(record):
    return {value.name: value.flags for value in accounted(record).metrics}


def notes(records):
    (table,) = build_tables(records)
    return flag_notes(table, table.columns)


def test_under_a_budget_in_seconds_every_number_of_a_starved_run_is_flagged(record):
    starved = record("vae", NUMBERS, timing={"training": 30.0, "share": 0.48})
    assert set(flags(starved).values()) == {("had under 50% of its time",)}
    assert set(flags(starved)) == {*NUMBERS, "device_seconds"}


def test_under_another_budget_only_times_are(record):
    starved = by_steps(record("vae", NUMBERS, timing={"training": 30.0, "share": 0.48, "energy_joules": 5.0}))
    flagged = {name for name, found in flags(starved).items() if found}
    assert flagged == {"train_images_per_s", "device_seconds", "energy_joules"}


def test_a_run_that_had_ended_before_its_seconds_did_lost_only_speed(record):
    fit = record("pca", NUMBERS, timing={"training": 0.01, "share": 0.2})
    used = fit.budget.used.model_copy(update={"seconds": 0.01})
    fit = fit.model_copy(update={"budget": fit.budget.model_copy(update={"used": used})})
    assert {name for name, found in flags(fit).items() if found} == {"train_images_per_s", "device_seconds"}


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "had under 10% of its time"),
        (0.5, "had under 60% of its time"),
        (0.89999, "had under 90% of its time"),
        (STARVED, ""),
        (1.0, ""),
        (None, ""),
    ],
)
def test_a_run_is_starved_below_the_threshold_and_never_where_nobody_knows(record, share, text):
    timing = {} if share is None else {"share": share}
    assert starvation(record("vae", NUMBERS, timing=timing)) == text


def test_other_flags_stay_and_the_record_is_as_it_was(record, number):
    starved = record("vae", [number("fid", 9.0, flags=("few points",))], timing={"share": 0.31})
    assert flags(starved)["fid"] == ("few points", "had under 40% of its time")
    assert starved.metrics[0].flags == ("few points",)


def test_the_tables_mark_them_and_say_it_once(record):
    records = [
        record("vae", NUMBERS, timing={"share": 0.48}),
        record("ae", NUMBERS, timing={"share": 0.99}),
        record("gan", {"fid": 1.0}, timing={"share": 0.41}),
    ]
    assert notes(records) == [
        "‡ had under 50% of its time: bits_per_dim, train_images_per_s, sample_images_per_s (vae), fid (gan, vae)"
    ]
    rows = render(build_tables(records), "md").splitlines()
    (starved,) = [row for row in rows if row.startswith("| `vae`")]
    (well,) = [row for row in rows if row.startswith("| `ae`")]
    assert (starved.count("‡"), well.count("‡")) == (4, 0)


def test_the_frame_has_flags_and_costs(record):
    frame = to_frame([record("vae", NUMBERS, timing={"training": 30.0, "curve": 2.0, "share": 0.2})])
    assert set(frame["flags"]) == {"had under 30% of its time"}
    assert frame.set_index("name").loc["device_seconds", "value"] == pytest.approx(37.1)


def test_what_a_run_cost_stands_in_wide_tables(record):
    run = by_steps(record("vae", NUMBERS, timing={"training": 30.0, "curve": 2.0, "energy_joules": 900.0}))
    (table,) = build_tables([run])
    cells = table.rows[0].cells
    assert cells["device_seconds"].value == pytest.approx(30 + 2 + 5.1)
    assert cells["train_flops"].value == 4e12
    assert cells["energy_joules"].value == 900
    assert [c.name for c in table.columns if not c.main][-3:] == ["device_seconds", "train_flops", "energy_joules"]
    assert not any(row.cells[name].best for row in table.rows for name in ("device_seconds", "energy_joules"))


def test_costs_that_are_not_known_or_were_not_asked_for_have_no_column(record):
    known = {value.name for value in accounted(record("vae", NUMBERS, timing={"training": 1.0})).metrics}
    assert known == {*NUMBERS, "device_seconds"}
    for run in (
        record("vae", {"fid": 1.0}, timing={"training": 1.0}),  # no throughput
        record("vae", NUMBERS),  # never trained
        record("vae", NUMBERS, status="timeout", timing={"training": 1.0}),
    ):
        assert "device_seconds" not in {value.name for value in accounted(run).metrics}

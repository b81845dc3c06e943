from __future__ import annotations

import pytest
from scipy import stats

from genbench.errors import UsageError
from genbench.report.layout import Cell, Table, interval_text, value_text
from genbench.report.quantities import decimals_for, mean, number, t_interval
from genbench.report.tables import build_tables


def only(records, **options) -> Table:
    (table,) = build_tables(records, **options)
    return table


def cell(table: Table, label: str, column: str) -> Cell:
    return next(row for row in table.rows if row.label == label).cells[column]


def labels(table: Table) -> list[str]:
    return [row.label for row in table.rows]


def test_seeds_give_their_mean_and_the_student_interval(record):
    bits = [2.02, 2.05, 2.01, 2.11]
    table = only([record("vae", {"bits_per_dim": b}, seed=seed) for seed, b in enumerate(bits)])

    got = cell(table, "vae", "bits_per_dim")
    low, high = stats.t.interval(0.95, len(bits) - 1, loc=sum(bits) / 4, scale=stats.sem(bits))

    assert got.n == 4
    assert got.value == pytest.approx(sum(bits) / 4, rel=1e-12)
    assert got.value - got.interval == pytest.approx(low, rel=1e-12)
    assert got.value + got.interval == pytest.approx(high, rel=1e-12)


def test_a_single_seed_has_the_interval_of_its_standard_error_or_none(record, number):
    table = only([record("vae", [number("bits_per_dim", 2.0, stderr=0.1), number("fid", 12.0)])])

    assert cell(table, "vae", "bits_per_dim").interval == pytest.approx(stats.norm.ppf(0.975) * 0.1)
    assert cell(table, "vae", "fid").interval is None


def test_a_single_seed_prefers_the_interval_of_its_own(record, number):
    table = only([record("vae", [number("fid", 2.0, stderr=0.1, interval=(1.5, 3.5))])])

    assert cell(table, "vae", "fid").interval == 1.0


def test_seeds_that_agree_have_the_interval_over_the_test_data(record, number):
    table = only([record("pca", [number("bits_per_dim", 2.0, stderr=0.1)], seed=seed) for seed in range(3)])

    got = cell(table, "pca", "bits_per_dim")
    assert (got.n, got.varies) == (3, False)
    assert got.interval == pytest.approx(0.196, rel=1e-3)


def test_flags_and_protocols_of_all_seeds_stand_in_the_cell(record, number):
    table = only(
        [
            record("vae", [number("fid", 1.0, flags=("few points",))]),
            record("vae", [number("fid", 2.0, flags=("few points", "memorised\x1b[31m"))], seed=1),
        ]
    )

    assert cell(table, "vae", "fid").flags == ("few points", "memorised")
    assert cell(table, "vae", "fid").protocols == ("p",)


def test_a_flagged_value_is_ranked(record, number):
    table = only([record("a", [number("fid", 1.0, flags=("few points",))]), record("b", {"fid": 2.0})])

    assert cell(table, "a", "fid").best


def test_equal_seeds_have_no_interval_made_of_rounding():
    assert mean([0.95] * 3) == 0.95
    assert t_interval([0.95] * 3, 0.95) == 0


def test_one_table_per_protocol_and_what_differs(records):
    tables = build_tables(records)

    assert [table.differs for table in tables] == [{"budget": "5s"}, {"budget": "30s"}]
    assert tables[0].title == "digits · budget 5s · Some CPU @ 2 GHz, 2 threads"
    assert sum(len(table.rows) for table in tables) == len({(r.protocol_hash, r.spec.label) for r in records})


def test_a_lone_protocol_differs_from_nothing(record):
    assert only([record("vae"), record("ae")]).differs == {}


def test_the_best_is_marked_by_the_direction_of_its_column(record):
    table = only(
        [
            record("a", {"bits_per_dim": 2.0, "knn_accuracy": 0.9, "parameters": 10.0}),
            record("b", {"bits_per_dim": 3.0, "knn_accuracy": 0.95, "parameters": 20.0}),
        ]
    )

    best = {name: [row.label for row in table.rows if row.cells[name].best] for name in table.rows[0].cells}
    assert best == {"bits_per_dim": ["a"], "knn_accuracy": ["b"], "parameters": []}


def test_what_looks_equal_is_best_together(record):
    table = only([record(label, {"bits_per_dim": b}) for label, b in (("a", 2.00001), ("b", 2.00002), ("c", 2.1))])

    assert [cell(table, label, "bits_per_dim").best for label in "abc"] == [True, True, False]


def test_reference_rows_are_never_best_and_stand_below(record):
    table = only(
        [
            record("real (test split)", {"fid": 0.1}, family="reference"),
            record("b", {"fid": 20.0}),
            record("a", {"fid": 30.0}),
        ]
    )

    assert labels(table) == ["a", "b", "real (test split)"]
    assert [row.cells["fid"].best for row in table.rows] == [False, True, False]


def test_one_contender_is_no_comparison(record):
    table = only([record("vae", {"fid": 20.0}), record("gan", status="failed")])

    assert not cell(table, "vae", "fid").best


def test_a_flattering_bound_is_never_best(record, number):
    table = only(
        [
            record("honest", [number("log_likelihood", -90.0, kind="lower_bound")]),
            record("exact", [number("log_likelihood", -91.0, kind="exact")]),
            record("flattered", [number("log_likelihood", -10.0, kind="upper_bound")]),
        ]
    )

    best = [row.label for row in table.rows if row.cells["log_likelihood"].best]
    assert best == ["honest"]


def test_values_of_different_settings_are_not_ranked(record, number):
    table = only(
        [
            record("a", [number("fid", 10.0, protocol="one")]),
            record("b", [number("fid", 20.0, protocol="other")]),
        ]
    )

    assert not any(row.cells["fid"].best for row in table.rows)
    assert not table.columns[0].comparable


def test_uneven_columns_say_which_settings_differ(record, number):
    """The metric's part of the protocol and what was measured with it; what differs among comparable values does not
    count, and hashes are cut."""
    one, other = "1" * 64, "2" * 64
    runs = [
        record("a", [number("fid", 10.0, protocol="one", sha256=one, k=3, dims=8)]),
        record("b", [number("fid", 10.0, protocol="one", sha256=one, k=3, dims=9)]),
        record("c", [number("fid", 20.0, protocol="other", sha256=other, k=3, dims=9)]),
    ]
    runs[2] = runs[2].model_copy(update={"metric_protocols": {"fid": {"n": 50}}})

    (column,) = only(runs).columns
    assert column.differs == {"sha256": ("111111111111…", "222222222222…"), "n": ("–", "50")}


def test_columns_that_can_be_compared_differ_in_nothing(record, number):
    (column,) = only([record("a", [number("fid", 1.0, n=3)]), record("b", [number("fid", 1.0, n=4)])]).columns

    assert column.comparable
    assert column.differs == {}


def test_what_can_not_be_told_from_the_best_is_close(record, number):
    table = only(
        [
            record("best", [number("bits_per_dim", 2.0, stderr=0.05)]),
            record("near", [number("bits_per_dim", 2.1, stderr=0.05)]),
            record("overlapping", [number("bits_per_dim", 2.15, stderr=0.05)]),  # 2.12 standard errors away
            record("unsure", [number("bits_per_dim", 2.9)]),
        ]
    )

    assert {row.label for row in table.rows if row.cells["bits_per_dim"].close} == {"near", "unsure"}


def test_without_any_error_models_have_neither_ranks_nor_doubts(record):
    speeds = {"a": 100.0, "b": 200.0, "c": 300.0}
    table = only([record(label, {"sample_images_per_s": speed}) for label, speed in speeds.items()])

    found = [cell(table, label, "sample_images_per_s") for label in "abc"]
    assert [(one.best, one.close, one.rank_low) for one in found] == [(i == 2, False, None) for i in range(3)]


def test_one_known_error_is_enough_for_doubts(record, number):
    table = only([record("a", [number("fid", 1.0, stderr=0.1)]), record("b", {"fid": 9.0})])

    assert cell(table, "b", "fid").close
    assert (cell(table, "b", "fid").rank_low, cell(table, "b", "fid").rank_high) == (1, 2)


def test_intervals_end_where_the_value_s_own_do(record, number):
    own = number("fid", 2.0, stderr=0.1, interval=(1.5, 3.5))
    assert cell(only([record("a", [own])]), "a", "fid").ends == (1.5, 3.5)
    assert cell(only([record("a", [own], seed=seed) for seed in range(3)]), "a", "fid").ends == (1.5, 3.5)
    seeds = [record("a", [own]), record("a", [number("fid", 4.0, interval=(3.0, 5.0))], seed=1)]
    low, high = stats.t.interval(0.95, 1, loc=3.0, scale=1.0)
    assert cell(only(seeds), "a", "fid").ends == pytest.approx((low, high))
    assert cell(only([record("a", {"fid": 4.0})]), "a", "fid").ends is None


def test_what_nobody_put_into_narrow_tables_is_shown_where_there_is_nothing_else(record):
    columns = only([record("a", {"parameters": 4.0, "elbo": -3.0})]).columns
    assert all(column.main for column in columns)


def test_failed_not_applicable_and_absent_are_three_things(record, missing):
    table = only(
        [
            record("vae", {"bits_per_dim": 2.0, "fid": 1.0, "moons": 3.0}),
            record("ae", unmeasured=[missing("likelihood", "not_applicable", "no density", "bits_per_dim")]),
            record("flow", unmeasured=[missing("likelihood", "failed", "boom", "bits_per_dim")]),
            record("gan", status="out_of_memory"),
        ]
    )

    assert cell(table, "ae", "bits_per_dim") == Cell("not_applicable", reason="no density")
    assert cell(table, "ae", "fid").state == "not_applicable"  # asked for, and it had no such number
    assert cell(table, "ae", "moons").state == "absent"
    assert cell(table, "flow", "bits_per_dim") == Cell("failed", word="failed", reason="boom")
    assert cell(table, "gan", "moons").word == "oom"
    assert [(p.label, p.status, p.reason) for p in table.problems] == [
        ("flow", "failed", "boom"),
        ("gan", "oom", "no reason is known"),
    ]


def test_failed_seeds_are_counted_and_left_out(record):
    table = only(
        [
            record("vae", {"fid": 10.0}, seed=0),
            record("vae", {"fid": 99.0}, seed=1, status="timeout"),
            record("vae", {"fid": 14.0}, seed=2),
        ]
    )

    (row,) = table.rows
    assert row.seeds == "2/3"
    assert row.cells["fid"].value == 12.0
    assert [(p.seed, p.status) for p in table.problems] == [(1, "timeout")]


def test_versions_of_a_plugin_are_no_seeds_of_each_other(record):
    table = only([record("vae", {"fid": 10.0}, plugin=version) for version in ("1.0", "2.0")])

    assert labels(table) == ["vae · genbench 1.0", "vae · genbench 2.0"]


def test_a_run_that_died_before_it_had_a_provenance_joins_its_seeds(record):
    died = record("vae", seed=1, status="killed").model_copy(update={"provenance": {}})
    table = only([record("vae", {"fid": 10.0}), died])

    assert [(row.label, row.seeds) for row in table.rows] == [("vae", "1/2")]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (None, ["m2", "m10", "m11", "broken"]),
        ("fid", ["m10", "m2", "broken", "m11"]),
        ("-fid", ["m2", "m10", "broken", "m11"]),
        ("knn_accuracy", ["m11", "m2", "broken", "m10"]),
    ],
)
def test_rows_are_sorted_best_first_with_gaps_last(record, sort, order):
    table = only(
        [
            record("m11", {"knn_accuracy": 0.9}),
            record("broken", status="failed"),
            record("m10", {"fid": 10.0}),
            record("m2", {"fid": 20.0, "knn_accuracy": 0.8}),
            record("noise", {"fid": 1.0}, family="reference"),
        ],
        sort=sort,
    )

    expected = sorted(order, key=["broken", "m2", "m10", "m11"].index) if sort is None else order
    assert labels(table) == [*expected, "noise"]


def test_chosen_columns_in_their_order(record):
    table = only([record("vae", {"bits_per_dim": 2.0, "fid": 1.0, "parameters": 3.0})], columns=["parameters", "fid"])

    assert [column.name for column in table.columns] == ["parameters", "fid"]
    assert all(column.main for column in table.columns)


def test_sorting_by_a_column_that_is_not_shown(record):
    found = [record("a", {"fid": 3.0, "kid": 1.0}), record("b", {"fid": 2.0, "kid": 1.0})]

    assert labels(only(found, columns=["kid"], sort="fid")) == ["b", "a"]


@pytest.mark.parametrize("options", [{"sort": "-fidd"}, {"columns": ["fid", "fidd"]}])
def test_an_unknown_column_is_named_with_the_nearest(record, options):
    with pytest.raises(UsageError, match="unknown column 'fidd': did you mean fid"):
        build_tables([record("vae", {"fid": 1.0})], **options)


def test_built_in_columns_come_in_their_order_and_foreign_ones_after(record):
    table = only([record("vae", {"moons": 1.0, "parameters": 1.0, "fid": 1.0, "bits_per_dim": 1.0})])

    assert [column.name for column in table.columns] == ["bits_per_dim", "fid", "parameters", "moons"]
    assert [column.name for column in table.columns if column.main] == ["bits_per_dim", "fid", "moons"]


def test_log_likelihood_stands_in_for_bits_per_dim(record):
    assert only([record("flow", {"log_likelihood": -1.0})]).columns[0].main
    assert not only([record("flow", {"log_likelihood": -1.0, "bits_per_dim": 2.0})]).columns[1].main


def test_decimals_follow_the_interval(record, number):
    table = only([record("vae", [number("bits_per_dim", 2.31449, stderr=0.012), number("fid", 12.3456)])])
    bits, fid = table.columns

    got = table.rows[0].cells
    assert (value_text(got["bits_per_dim"], bits), interval_text(got["bits_per_dim"], bits)) == ("2.314", "±0.024")
    assert (value_text(got["fid"], fid), interval_text(got["fid"], fid)) == ("12.35", "")


@pytest.mark.parametrize(
    ("values", "intervals", "decimals"),
    [
        ([], [], 0),
        ([0.0], [], 0),
        ([12345.0, 7.0], [], 0),
        ([12345.6], [], 0),
        ([2.5], [], 3),
        ([0.95], [], 3),
        ([9000.0], [123.0], 0),
        ([2.0], [1e-9], 4),
        ([1e-12], [], 6),
    ],
)
def test_decimals(values, intervals, decimals):
    assert decimals_for(values, intervals) == decimals


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(1234.5, 1, "1,234.5"), (1234567.0, 0, "1.23M"), (-2.1e9, 2, "-2.1G"), (-0.0001, 2, "0.00")],
)
def test_number(value, decimals, text):
    assert number(value, decimals) == text


def test_no_records_no_tables():
    assert build_tables([]) == []


def test_200_records_of_50_models(record):
    numbers = {"bits_per_dim": 2.0, "fid": 1.0, "kid": 0.1, "knn_accuracy": 0.9, "parameters": 100.0}
    many = [record(f"m{i // 4}", {k: v + i / 1000 for k, v in numbers.items()}, seed=i % 4) for i in range(200)]
    tables = build_tables(many)
    assert len(tables[0].rows) == 50
    assert {row.seeds for row in tables[0].rows} == {"4"}

import json
import os
from dataclasses import asdict, replace

import pytest
from pydantic import ValidationError
from specs import record_spec

from genbench.errors import GenbenchError
from genbench.results import store as store_module
from genbench.results.frame import to_frame
from genbench.results.protocols import by_protocol, gather
from genbench.results.schema import Amount, BudgetUse, CurvePoint, Failure, Record, Unmeasured, Value
from genbench.results.store import Skipped, Store

KEY = "0123456789abcdef"


def record(key=KEY, **changes):
    spec = record_spec(label="vae[latent_dim=2]", budget="30s")
    value = Value(
        name="fid",
        metric="fid",
        value=1.5,
        stderr=None,
        kind="estimate",
        better="lower",
        unit="",
        protocol="p",
        settings={},
    )
    fields = {
        "schema": 1,  # under which a key may be anything
        "key": key,
        "status": "ok",
        "spec": spec,
        "protocol": {"dataset": "digits"},
        "protocol_hash": "abc",
        "budget": BudgetUse(allowed=Amount(seconds=30), used=Amount(seconds=30.1)),
        "metrics": [value],
    }
    return Record(**(fields | changes))


def test_a_record_reads_back_as_it_was_written(tmp_path):
    store = Store(tmp_path)
    store.publish(record())
    assert store.read(KEY) == record()
    assert store.read_all() == ([record()], [])
    assert not (tmp_path / "work" / KEY).exists()


def test_artifacts_move_with_the_record_and_stale_ones_go(tmp_path):
    store = Store(tmp_path)
    for name in ("old.png", "samples.png"):
        store.workspace(KEY).mkdir(parents=True, exist_ok=True)
        (store.workspace(KEY) / name).write_text("first")
    store.publish(record())
    store.workspace(KEY).mkdir(parents=True)
    (store.workspace(KEY) / "samples.png").write_text("second")
    store.publish(record(status="failed"))
    assert sorted(p.name for p in store.folder(KEY).iterdir()) == ["record.json", "samples.png"]
    assert (store.folder(KEY) / "samples.png").read_text() == "second"
    assert store.read(KEY).status == "failed"


def test_a_link_in_place_of_a_run_s_folder_is_replaced_and_what_it_points_to_left_alone(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").touch()
    store = Store(tmp_path / "out")
    store.folder(KEY).parent.mkdir(parents=True)
    store.folder(KEY).symlink_to(elsewhere)
    store.publish(record())
    assert store.read(KEY).status == "ok"
    assert [path.name for path in elsewhere.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_is_cut_short_leaves_the_old_record(tmp_path, monkeypatch, step):
    store = Store(tmp_path)
    store.publish(record())

    def fail(*_):
        raise OSError("disk full")

    if step == "fsync":
        monkeypatch.setattr(store_module.os, "fsync", fail)
    else:
        monkeypatch.setattr(store_module.Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        store.publish(record(status="failed"))
    monkeypatch.undo()
    assert store.read(KEY).status == "ok"
    assert not [p for p in store.workspace(KEY).iterdir() if p.name.startswith(".record")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"schema": 1, "key"', "no JSON document"),
        (b"\xff\xfe", "no JSON document"),
        (b"[]", "not a genbench record of schema 1 or 2"),
        (b'{"schema": 3}', "not a genbench record of schema 1 or 2"),
        (b'{"schema_": 1}', "not a genbench record of schema 1 or 2"),
        (b"[" * 100_000, "no JSON document"),
        (b'{"schema": 1}', "not a valid record: key: Field required"),
    ],
)
def test_a_bad_record_is_named_and_skipped_and_the_rest_shown(tmp_path, content, reason):
    store = Store(tmp_path)
    store.publish(record())
    other = store.folder("f" * 16)
    other.mkdir()
    (other / "record.json").write_bytes(content)
    records, skipped = store.read_all()
    assert records == [record()]
    assert [s.path for s in skipped] == [other / "record.json"]
    assert skipped[0].reason.startswith(reason)


@pytest.mark.parametrize("instead", ["", '"schema_":1,'])
def test_a_record_that_names_no_schema_is_refused(tmp_path, instead):
    content = record().model_dump_json(by_alias=True).replace('"schema":1,', instead)
    Store(tmp_path).folder(KEY).mkdir(parents=True)
    Store(tmp_path).path(KEY).write_text(content)
    found = Store(tmp_path).read(KEY)
    assert isinstance(found, Skipped)
    assert found.reason == "not a genbench record of schema 1 or 2"


def test_records_share_what_is_equal_and_nothing_else(tmp_path):
    store = Store(tmp_path)
    other = replace(record().metrics[0], value=2.5, settings={"n": 5})
    written = [record(), record("1" * 16), record("2" * 16, metrics=[other], protocol={"dataset": "mnist"})]
    for one in written:
        store.publish(one)
    first, second, third = store.read_all()[0]
    assert [first, second, third] == written
    assert first.protocol is second.protocol is not third.protocol
    assert first.spec.config is second.spec.config is third.spec.config
    assert first.metrics[0].settings is second.metrics[0].settings


def test_a_pipe_in_place_of_a_record_is_skipped_and_not_waited_for(tmp_path):
    store = Store(tmp_path)
    store.publish(record())
    pipe = store.path("f" * 16)
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    assert store.read_all() == ([record()], [Skipped(pipe, "unreadable: not a plain file")])
    assert store.read("f" * 16) == Skipped(pipe, "unreadable: not a plain file")
    found = gather(by_protocol(store.paths()), len)
    assert found == ([1], [Skipped(pipe, "unreadable: not a plain file")])


def test_a_record_that_is_too_large_is_skipped_before_it_is_read(tmp_path):
    store = Store(tmp_path)
    store.publish(record())
    store.publish(record("f" * 16))
    os.truncate(store.path("f" * 16), 2**40)
    reason = "unreadable: larger than 64 MiB"
    assert store.read_all() == ([record()], [Skipped(store.path("f" * 16), reason)])
    assert gather(by_protocol(store.paths()), len) == ([1], [Skipped(store.path("f" * 16), reason)])


@pytest.mark.parametrize(
    "change",
    [
        {"timing": {"setup": 10**309}},
        {"timing": {"setup": 1e200}},
        {"budget": {"allowed": {}, "used": {"steps": 2**63}}},
        {"spec": {"seed": 2**64}},
        {"spec": {"seed": -1}},
        {"metrics": [{"value": 1e151}]},
        {"metrics": [{"stderr": 1e151}]},
        {"metrics": [{"interval": [0, 1e151]}]},
    ],
)
def test_numbers_that_no_reader_can_take_squares_of_are_no_part_of_a_record(tmp_path, change):
    document = json.loads(record().model_dump_json(by_alias=True))
    (value,) = document["metrics"]
    if "metrics" in change:
        change = {"metrics": [value | change["metrics"][0]]}
    if "spec" in change:
        change = {"spec": document["spec"] | change["spec"]}
    Store(tmp_path).folder(KEY).mkdir(parents=True)
    Store(tmp_path).path(KEY).write_text(json.dumps(document | change))
    found = Store(tmp_path).read(KEY)
    assert isinstance(found, Skipped)
    assert found.reason.startswith(f"not a valid record: {next(iter(change))}")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_no_part_of_a_protocol(tmp_path, number):
    store = Store(tmp_path)
    for key in (KEY, "f" * 16):  # the second one is like a record before
        store.publish(record(key, protocol={"metrics": {"fid": {"n": 7.25}}}))
        store.path(key).write_text(store.path(key).read_text().replace("7.25", number))
        assert isinstance(store.read(key), Skipped)
    records, skipped = store.read_all()
    assert records == []
    assert [item.reason for item in skipped] == ["not a valid record: protocol: a number in it is not finite"] * 2


def test_without_curves_the_rest_of_a_record_is_the_same(tmp_path):
    store = Store(tmp_path)
    point = CurvePoint(fraction=0.5, seconds=15, steps=10, samples=80, metrics={"fid": 2.0})
    written = record(curve=[point])
    store.publish(written)
    assert store.read_all(curves=False) == ([written.model_copy(update={"curve": []})], [])


@pytest.mark.parametrize(
    "change",
    [
        {"key": "../../../etc/passwd"},
        {"artifacts": {"samples": "../../secret.png"}},
        {"artifacts": {"samples": "/etc/passwd"}},
        {"status": "great"},
        {"surprise": 1},
    ],
)
def test_a_hostile_record_is_refused(tmp_path, change):
    document = json.loads(record().model_dump_json(by_alias=True)) | change
    folder = Store(tmp_path).folder(KEY)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(document))
    assert isinstance(Store(tmp_path).read(KEY), Skipped)


def test_a_record_in_another_s_folder_is_refused(tmp_path):
    folder = Store(tmp_path).folder("f" * 16)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(record().model_dump_json(by_alias=True))
    found = Store(tmp_path).read("f" * 16)
    assert isinstance(found, Skipped)
    assert "is not the name of its folder" in found.reason


def test_numbers_must_be_finite():
    with pytest.raises(ValidationError, match="finite"):
        Value(**asdict(record().metrics[0]) | {"value": float("nan")})


def test_an_absent_or_unwritable_folder_is_named(tmp_path):
    with pytest.raises(GenbenchError, match="no results in"):
        Store(tmp_path / "absent").read_all()
    (tmp_path / "file").write_text("")
    with pytest.raises(GenbenchError, match="can't write to the output folder"):
        Store(tmp_path / "file").prepare()
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(GenbenchError, match="can't write to the output folder"):
            Store(tmp_path / "locked").prepare()


def test_a_frame_says_all_that_is_known_of_a_value():
    found = replace(record().metrics[0], interval=(1.25, 1.75), flags=("few points", "copies"))
    gap = Unmeasured(metric="kid", names=["kid"], status="failed", reason="boom")
    frame = to_frame([record(metrics=[record().metrics[0], found], unmeasured=[gap])])
    assert frame["protocol"].tolist()[:2] == ["p", "p"]
    assert frame["interval_low"].isna().tolist() == frame["interval_high"].isna().tolist() == [True, False, True]
    assert (frame["interval_low"][1], frame["interval_high"][1]) == (1.25, 1.75)
    assert frame["flags"].tolist()[:2] == ["", "few points; copies"]
    assert frame[["protocol", "flags"]].iloc[2].isna().all()


def test_a_frame_has_a_row_for_every_number_gap_and_empty_record():
    gap = Unmeasured(metric="likelihood", names=["bits_per_dim", "elbo"], status="not_applicable", reason="no density")
    failed = record("f" * 16, status="failed", metrics=[], error=Failure(phase="setup", type="E", message="boom"))
    frame = to_frame([record(unmeasured=[gap]), failed])
    assert frame["name"].tolist()[:3] == ["fid", "bits_per_dim", "elbo"]
    assert frame["kind"].tolist()[:3] == ["estimate", "not_applicable", "not_applicable"]
    assert frame["reason"].tolist()[1:] == ["no density", "no density", "boom"]
    assert frame["status"].tolist() == ["ok", "ok", "ok", "failed"]

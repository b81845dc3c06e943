import json
from dataclasses import replace
from pathlib import Path

import pytest
from many_records import many_records, write_many

from genbench.errors import GenbenchError, UsageError
from genbench.results import merging
from genbench.results.lock import HeldLock
from genbench.results.merging import merge
from genbench.results.schema import Record
from genbench.results.store import Store


@pytest.fixture
def records():
    return list(many_records(4))


def fill(out, records, **artifacts):
    """An output folder of these records, each with a file of every artifact."""
    store = Store(out)
    for record in records:
        store.workspace(record.key).mkdir(parents=True)
        for name in artifacts.values():
            (store.workspace(record.key) / name).write_text(f"{name} of {record.key}")
        store.publish(record.model_copy(update={"artifacts": artifacts}))
    return out


def content(out):
    files = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_folders_become_one_with_all_that_their_records_list(records, tmp_path):
    a = fill(tmp_path / "a", records[:2], samples="samples.png", log="log.txt")
    b = fill(tmp_path / "b", records[2:3])
    c = fill(tmp_path / "c", records[3:])
    copied, skipped = merge([a, b], c)
    assert (sorted(copied), skipped) == (sorted(record.key for record in records[:3]), [])
    assert content(c) == content(a) | content(b) | content(fill(tmp_path / "d", records[3:]))


def test_the_same_record_is_kept_once_and_a_merge_repeated_copies_nothing(records, tmp_path):
    a, b = fill(tmp_path / "a", records[:2]), fill(tmp_path / "b", records[1:])
    shared = Store(b).path(records[1].key)
    shared.write_text(json.dumps(json.loads(shared.read_text())))  # the same document, written otherwise
    assert len(merge([a, b], tmp_path / "c")[0]) == 4
    assert len(Store(tmp_path / "c").read_all()[0]) == 4
    assert merge([a, b, tmp_path / "c"], tmp_path / "c") == ([], [])


@pytest.mark.parametrize("where", ["b", "c"])
def test_different_records_of_one_key_are_refused_before_anything_is_copied(records, tmp_path, where):
    a = fill(tmp_path / "a", records)
    other = fill(tmp_path / where, [records[1].model_copy(update={"status": "killed"})])
    before = content(tmp_path / "c")
    with pytest.raises(UsageError) as caught:
        merge([a, other] if where == "b" else [a], tmp_path / "c")
    for said in (
        records[1].key,
        records[1].spec.label,
        "seed 0",
        "status is",
        f"ok in {a} (2026-",
        f"killed in {other} (2026-",
    ):
        assert said in str(caught.value)
    assert records[0].key not in str(caught.value)
    assert content(tmp_path / "c") == before


def test_a_damaged_record_is_named_and_left_behind(records, tmp_path):
    a = fill(tmp_path / "a", records)
    Store(a).path(records[0].key).write_text('{"schema": 1')
    copied, skipped = merge([a], tmp_path / "c")
    assert [item.path for item in skipped] == [Store(a).path(records[0].key)]
    assert sorted(copied) == sorted(record.key for record in records[1:])
    assert not Store(tmp_path / "c").folder(records[0].key).exists()


def test_what_can_not_be_read_in_the_target_is_never_overwritten(records, tmp_path):
    a, c = fill(tmp_path / "a", records), fill(tmp_path / "c", records[:1])
    Store(c).path(records[0].key).write_text('{"schema": 2}')
    before = content(c)
    with pytest.raises(UsageError, match=rf"{records[0].key} .* not readable in"):
        merge([a], c)
    assert content(c) == before


def test_only_plain_files_that_the_record_lists_are_copied(records, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    a = fill(tmp_path / "a", records[:1], samples="samples.png", log="log.txt", codes="codes.npz", absent="absent.png")
    folder = Store(a).folder(records[0].key)
    (folder / "absent.png").unlink()
    (folder / "log.txt").unlink()
    (folder / "log.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "codes.npz").unlink()
    (folder / "codes.npz").mkdir()
    (folder / "not-listed.txt").write_text("x")
    merge([a], tmp_path / "c")
    copied = Store(tmp_path / "c").folder(records[0].key)
    assert sorted(path.name for path in copied.iterdir()) == ["record.json", "samples.png"]


def test_a_run_folder_that_is_a_link_gives_its_record_only(records, tmp_path):
    a = fill(tmp_path / "a", records[:1], samples="samples.png")
    (tmp_path / "b" / "runs").mkdir(parents=True)
    Store(tmp_path / "b").folder(records[0].key).symlink_to(Store(a).folder(records[0].key))
    merge([tmp_path / "b"], tmp_path / "c")
    copied = Store(tmp_path / "c").folder(records[0].key)
    assert [path.name for path in copied.iterdir()] == ["record.json"]


def measured_again(record, **changes):
    """The record of another execution of the same run: what varies is another, and what is changed is so."""
    date = {"date": "2030-01-01T00:00:00+00:00", "command": ["genbench", "run"], "gpu": "cuda:1"}
    metrics = [
        replace(value, value=value.value * 2) if value.unit in ("images/s", "ms", "MiB") else value
        for value in record.metrics
    ]
    curve = [replace(point, seconds=point.seconds * 2) for point in record.curve]
    timing = {name: seconds * 2 for name, seconds in record.timing.items()}
    other = {"provenance": record.provenance | date, "metrics": metrics, "curve": curve, "timing": timing}
    return record.model_copy(update=other | changes)


def shifted(record, part):
    """Its first value that has an error, shifted by a part of that."""
    place, value = next((n, value) for n, value in enumerate(record.metrics) if value.stderr)
    return [
        *record.metrics[:place],
        replace(value, value=value.value + part * value.stderr),
        *record.metrics[place + 1 :],
    ]


@pytest.mark.parametrize("into", ["a", "c"])
def test_a_run_that_was_carried_out_twice_is_kept_once_where_its_records_agree(records, tmp_path, into):
    a = fill(tmp_path / "a", records[:2], log="log.txt")
    before = content(a)
    again = measured_again(records[0], metrics=shifted(measured_again(records[0]), 1e-5))
    b = fill(tmp_path / "b", [again, records[2]])
    copied, _ = merge([a, b], tmp_path / into)
    assert sorted(copied) == sorted(record.key for record in (records[:3] if into == "c" else records[2:3]))
    there = content(tmp_path / into)
    assert {name: there[name] for name in before} == before
    assert merge([a, b], tmp_path / into) == merge([b], tmp_path / into) == ([], [])


def test_records_that_differ_are_named_with_both_sides_and_either_can_be_kept(records, tmp_path):
    old = records[0]
    new = measured_again(old, metrics=shifted(measured_again(old), 3.0))
    a, b = fill(tmp_path / "a", [old, *records[1:]], log="log.txt"), fill(tmp_path / "b", [new], samples="samples.png")
    first = next(value for value in old.metrics if value.stderr)
    with pytest.raises(UsageError) as caught:
        merge([a, b], tmp_path / "c")
    assert f"({old.spec.label} on" in str(caught.value)
    assert f"{first.name} is {first.value:.6g} in {a} ({old.provenance['date']}), " in str(caught.value)
    assert f"in {b} (2030-01-01T00:00:00+00:00); --keep first or --keep newest" in str(caught.value)
    assert not (tmp_path / "c").exists()

    assert len(merge([a, b], tmp_path / "first", "first")[0]) == 4
    assert content(tmp_path / "first") == content(a)
    assert len(merge([a, b], tmp_path / "newest", "newest")[0]) == 4
    assert content(tmp_path / "newest") == {k: v for k, v in content(a).items() if old.key not in k} | content(b)
    assert merge([b], a, "first") == ([], [])
    assert merge([b], a, "newest") == ([old.key], [])
    assert content(a) == content(tmp_path / "newest")
    assert merge([b], a, "newest") == ([], [])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"protocol": {"dataset": "digits", "hardware": {"cpu": "another", "threads": 2}}}, "protocol."),
        ({"capabilities": []}, "capabilities"),
        ({"metrics": []}, "fid is"),
        ({"curve": []}, "curve"),
    ],
)
def test_what_another_execution_should_come_to_as_well_may_not_differ(records, tmp_path, change, named):
    (tmp_path / "a").mkdir()
    a, b = fill(tmp_path / "a", records[:1]), fill(tmp_path / "b", [measured_again(records[0], **change)])
    with pytest.raises(UsageError, match=rf"{records[0].key} .*: {named}.* in {a} .* in {b}"):
        merge([a, b], tmp_path / "c")


def test_a_source_may_be_the_target_or_stand_twice_but_the_target_is_none_of_its_runs(records, tmp_path, monkeypatch):
    a = fill(tmp_path / "a", records[:2])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(a)
    assert merge([a, a / ".." / "a", tmp_path / "link"], a) == ([], [])
    Store(a).path(records[0].key).write_text("{")
    _, skipped = merge([a, Path("a"), tmp_path / "link"], tmp_path / "c")
    assert len(skipped) == 1
    with pytest.raises(UsageError, match="it lies among the runs of"):
        merge([a], a / "runs" / "c")
    assert not (a / "runs" / "c").exists()
    assert len(merge([a], a / "nested")[0]) == 1


@pytest.mark.parametrize("step", ["copyfile", "write_atomically", "move_in"])
def test_a_merge_that_is_cut_short_leaves_no_half_run_and_goes_on(records, tmp_path, monkeypatch, step):
    a = fill(tmp_path / "a", records, samples="samples.png")
    owner = {"copyfile": merging.shutil, "write_atomically": merging, "move_in": Store}[step]
    real, calls = getattr(owner, step), []

    def cut(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(owner, step, cut)
    with pytest.raises(KeyboardInterrupt):
        merge([a], tmp_path / "c")
    monkeypatch.undo()
    there, skipped = Store(tmp_path / "c").read_all()
    assert (len(there), skipped) == (2, [])
    assert len(merge([a], tmp_path / "c")[0]) == 2
    assert content(tmp_path / "c") == content(a)


@pytest.mark.parametrize("where", ["a", "c"])
def test_a_run_that_somebody_works_on_is_left_alone_and_named(records, tmp_path, where):
    a = fill(tmp_path / "a", records)
    used = records[1]
    lock = HeldLock.take(Store(tmp_path / where).lock(used.key))
    with pytest.raises(GenbenchError, match=rf"works on {used.key} .* in {tmp_path / where}; 3 others were copied"):
        merge([a], tmp_path / "c")
    assert sorted(content(tmp_path / "c")) == sorted(f"runs/{r.key}/record.json" for r in records if r is not used)
    lock.release()
    assert merge([a], tmp_path / "c") == ([used.key], [])


@pytest.mark.parametrize("where", ["a", "c"])
def test_a_run_that_somebody_has_just_finished_is_not_copied(records, tmp_path, monkeypatch, where):
    a, c = fill(tmp_path / "a", records[:1]), tmp_path / "c"
    newer = records[0].model_copy(update={"status": "failed"})
    prepare = Store.prepare

    def prepare_and_finish(store):
        prepare(store)
        Store(tmp_path / where).publish(newer)

    monkeypatch.setattr(Store, "prepare", prepare_and_finish)
    with pytest.raises(GenbenchError, match=f"works on {newer.key}"):
        merge([a], c)
    assert Store(c).read(newer.key) == (newer if where == "c" else None)


def test_a_full_disk_is_an_error_of_one_line(records, tmp_path, monkeypatch):
    a = fill(tmp_path / "a", records, samples="samples.png")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(merging.shutil, "copyfile", full)
    with pytest.raises(GenbenchError, match=r"can't copy .* No space left on device"):
        merge([a], tmp_path / "c")


def test_of_many_records_all_are_listed(tmp_path):
    records, skipped = Store(write_many(tmp_path, 250)).read_all()
    assert skipped == []
    assert sorted(records, key=by_key) == sorted(many_records(250), key=by_key)
    assert {record.spec.seed for record in records} == {0, 1}


def by_key(record: Record) -> str:
    return record.key


def test_of_two_records_that_agree_the_one_with_more_metrics_is_kept(records, tmp_path):
    whole = records[0]
    name = whole.metrics[0].metric
    spec = whole.spec.model_copy(update={"metrics": {m: o for m, o in whole.spec.metrics.items() if m != name}})
    kept = [value for value in whole.metrics if value.metric != name]
    part = whole.model_copy(update={"spec": spec, "metrics": kept})
    a, b = fill(tmp_path / "a", [part]), fill(tmp_path / "b", [whole])
    merge([a, b], tmp_path / "c")
    merge([b], a)
    for out in (tmp_path / "c", a):
        assert Store(out).read(whole.key).metrics == whole.metrics
    other = {m: o for m, o in whole.spec.metrics.items() if m != whole.metrics[-1].metric}
    last = whole.model_copy(update={"spec": spec.model_copy(update={"metrics": other}), "metrics": []})
    with pytest.raises(UsageError, match=f"{whole.key}.*: metrics is "):
        merge([fill(tmp_path / "d", [part]), fill(tmp_path / "e", [last])], tmp_path / "f")

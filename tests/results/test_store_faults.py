"""The store as sqlite is tested: every operation on the disk goes wrong once, and nothing that is finished is lost."""

import errno
import fcntl
import os
from contextlib import suppress
from itertools import count

import faults
import pytest
from many_records import many_records

from genbench.errors import GenbenchError
from genbench.results import lock as lock_module
from genbench.results.lock import HeldLock
from genbench.results.merging import merge
from genbench.results.schema import Record
from genbench.results.store import Store
from genbench.runner.draft import RESUME
from genbench.runner.workspace import forget_state, open_workspace, set_state_aside

#: More operations than anything here takes.
MANY = 400


@pytest.fixture(scope="module")
def records():
    return list(many_records(3))


def run(out, record, seen):
    """What a run does to the disk that goes on from a saved state; training and the campaign are left out."""
    store = Store(out)
    store.prepare()
    lock = HeldLock.take(store.lock(record.key))
    try:
        workspace = open_workspace(store, record.key, resume=True)
        seen.append((workspace / RESUME).exists())
        for name in record.artifacts.values():
            with (workspace / name).open("wb") as file:
                file.write(b"new" * 100)
        with (workspace / RESUME).open("wb") as file:
            file.write(b"state" * 100)
        set_state_aside(store, record.key)
        store.publish(record)
        forget_state(store, record.key)
    finally:
        lock.release()


def earlier(out, records):
    """A finished run, and one that was killed: it has a state to go on from."""
    store = Store(out)
    old = records[1].model_copy(update={"status": "killed", "artifacts": {"resume": RESUME}})
    for record in (records[0], old):
        folder = store.workspace(record.key)
        folder.mkdir(parents=True)
        (folder / RESUME).write_bytes(b"old")
        store.publish(record)
    return old


@pytest.mark.parametrize("fault", faults.FAULTS)
@pytest.mark.parametrize("redo", [True, False], ids=["redo", "new"])
def test_no_operation_that_goes_wrong_in_a_run_costs_what_was_finished(records, tmp_path, fault, redo):
    new = records[1].model_copy(update={"artifacts": {"samples": "samples.png", "log": "log.txt"}})
    new = new if redo else new.model_copy(update={"key": "f" * 16})
    for number in count(1):
        out = tmp_path / str(number)
        old = earlier(out, records)
        before = {records[0].key: records[0], old.key: old}
        disk, went_wrong = faults.Disk(number, fault), False
        with faults.on(disk):
            try:
                run(out, new, [])
            except (OSError, GenbenchError):
                went_wrong = True
        if not disk.reached:
            break
        store = Store(out)
        found, skipped = store.read_all()
        assert skipped == []
        after = {record.key: record for record in found}
        assert after in (before, before | {new.key: new})
        assert fault is None or went_wrong or after == before | {new.key: new}
        # by this the campaign tells a run that is published from one that is not
        assert went_wrong or fault is None or not store.workspace(new.key).exists()

        seen = []
        run(out, new, seen)
        assert store.read_all() == (sorted((before | {new.key: new}).values(), key=lambda r: r.key), [])
        assert after != before or not redo or seen == [True]  # a run that was killed goes on
        assert sorted(path.name for path in store.folder(new.key).iterdir()) == [
            "log.txt",
            "record.json",
            "samples.png",
        ]
        assert (store.folder(new.key) / "samples.png").read_bytes() == b"new" * 100
        assert [path.name for path in (out / "work").iterdir() if path.suffix != ".lock"] == []
    assert 20 < number < MANY


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_no_operation_that_goes_wrong_in_a_merge_leaves_half_a_run(records, tmp_path, fault):
    source = tmp_path / "source"
    for record in records:
        Store(source).workspace(record.key).mkdir(parents=True)
        (Store(source).workspace(record.key) / "samples.png").write_bytes(b"picture" * 100)
        Store(source).publish(record.model_copy(update={"artifacts": {"samples": "samples.png"}}))
    wanted = Store(source).read_all()
    for number in count(1):
        into = tmp_path / str(number)
        Store(into).publish(wanted[0][0])
        disk = faults.Disk(number, fault)
        with faults.on(disk), suppress(GenbenchError):
            merge([source], into)
        found, skipped = Store(into).read_all()
        assert skipped == []
        assert all(record in wanted[0] for record in found)
        assert wanted[0][0] in found
        for record in found[1:]:
            assert (Store(into).folder(record.key) / "samples.png").read_bytes() == b"picture" * 100
        if not disk.reached:
            break
        merge([source], into)
        assert Store(into).read_all() == wanted
        assert [path for path in into.rglob(".*") if path.parent.parent.name == "runs"] == []
    assert 20 < number < MANY


def litter(folder):
    """All that a model may leave where it works."""
    for name in ("sub/deep", "record.json/x", "samples.png"):
        (folder / name).mkdir(parents=True)
    (folder / "sub" / "file").write_text("x")
    (folder / "link").symlink_to("/etc/hostname")
    (folder / "away").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / RESUME)
    (folder / ".record.json.0123").write_text("{")
    (folder / "extra.npz").write_text("x")


def test_a_run_keeps_plain_files_only_whatever_lies_in_its_workspace(records, tmp_path):
    store, record = Store(tmp_path), records[0]
    for _ in range(2):  # in a new folder, and in place of what was there
        folder = open_workspace(store, record.key, resume=True)
        litter(folder)
        set_state_aside(store, record.key)
        store.publish(record)
        assert sorted(path.name for path in store.folder(record.key).iterdir()) == ["extra.npz", "record.json"]
        assert not folder.exists()
        store.path(record.key).unlink()
        litter(store.folder(record.key))
    litter(store.workspace(record.key).with_name(f"{record.key}.{RESUME}"))
    litter(open_workspace(store, record.key, resume=False))
    assert list(open_workspace(store, record.key, resume=True).iterdir()) == []


@pytest.mark.parametrize("where", ["workspace", "folder"])
def test_a_file_in_the_place_of_a_run_s_folder_is_replaced(records, tmp_path, where):
    store, record = Store(tmp_path), records[0]
    place = getattr(store, where)(record.key)
    place.parent.mkdir(parents=True)
    place.write_text("in the way")
    open_workspace(store, record.key, resume=True)
    store.publish(record)
    assert isinstance(store.read(record.key), Record)


def test_a_run_is_published_though_its_workspace_or_its_output_folder_was_removed(records, tmp_path):
    store, record = Store(tmp_path / "out"), records[0]
    open_workspace(store, record.key, resume=True).rmdir()
    store.publish(record)
    assert store.read(record.key) == record
    open_workspace(store, record.key, resume=True)
    for folder in ("work", "runs"):
        for path in sorted((tmp_path / "out" / folder).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    store.publish(record)
    assert store.read(record.key) == record


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_of_once_and_works(tmp_path, monkeypatch, capsys, code):
    def none(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", none)
    monkeypatch.setattr(lock_module, "_told", set())
    held = [HeldLock.take(tmp_path / name) for name in ("a.lock", "a.lock", "b.lock")]
    for lock in held:
        lock.release()
    said = capsys.readouterr().err
    assert said == f"genbench: {tmp_path} is on a file system without locks: use it from one genbench at a time\n"


def test_a_lock_that_fails_otherwise_is_an_error(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="Input/output error"):
        HeldLock.take(tmp_path / "a.lock")

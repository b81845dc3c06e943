import json
import os
import sys
import time

import psutil
import pytest
from many_records import many_records, write_many

from genbench.errors import GenbenchError
from genbench.results import protocols
from genbench.results.protocols import by_protocol, gather, processes
from genbench.results.store import Store


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder of 30 records of two protocols."""
    return write_many(tmp_path_factory.mktemp("many"), 30)


@pytest.fixture
def few(tmp_path):
    return Store(write_many(tmp_path, 3))


@pytest.fixture
def parallel(monkeypatch):
    """Several processes, however little there is to do."""
    monkeypatch.setattr(protocols, "MANY", 0)
    monkeypatch.setattr(protocols, "PART", 7)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def keys_and_process(records):
    return [record.key for record in records], os.getpid()


def test_every_record_is_with_those_of_its_protocol_and_whole(many):
    found, skipped = gather(by_protocol(Store(many).paths()), list)
    assert skipped == []
    assert all(len({record.protocol_hash for record in records}) == 1 for records in found)
    every = sorted(many_records(30), key=lambda record: record.key)
    assert sorted((record for records in found for record in records), key=lambda record: record.key) == every


def test_other_processes_give_the_same(many, parallel):
    paths = Store(many).paths()
    with processes(len(paths)) as map_:
        work = by_protocol(paths, map_)
        found, _ = gather(work, keys_and_process, map_)
    assert work == by_protocol(paths)
    assert os.getpid() not in {process for _, process in found}
    assert [keys for keys, _ in found] == [keys for keys, _ in gather(work, keys_and_process)[0]]


def test_a_few_records_are_read_without_other_processes(many):
    with processes(30) as map_:
        assert map_ is map


@pytest.mark.parametrize("workers", [False, True])
def test_what_is_done_meanwhile_is_done_in_this_process_and_once(many, workers, request):
    if workers:
        request.getfixturevalue("parallel")
    paths, done = Store(many).paths(), []
    with processes(len(paths)) as map_:
        found, _ = gather(by_protocol(paths, map_), len, map_, meanwhile=lambda: done.append(os.getpid()))
    assert done == [os.getpid()]
    assert sum(found) == 30


def die(_):
    os._exit(1)


def test_a_process_that_dies_is_an_error_of_one_line(many, parallel):
    work = by_protocol(Store(many).paths())
    with pytest.raises(GenbenchError, match="died"), processes(30) as map_:
        gather(work, die, map_)


def test_processes_end_with_the_one_that_they_help():
    code = (
        "import os, time; from genbench.results import protocols; protocols.MANY = 0\n"
        "os.sched_getaffinity = lambda _: {0, 1}\n"
        "with protocols.processes(9) as map_: list(map_(time.sleep, [100, 100]))"
    )
    parent = psutil.Popen([sys.executable, "-c", code])
    end = time.monotonic() + 20
    while len(helpers := parent.children()) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    assert len(helpers) == 2
    assert psutil.wait_procs(helpers, timeout=10)[1] == []


@pytest.mark.parametrize("indent", [None, 4])
def test_a_record_may_be_written_in_any_way(few, indent):
    expected = gather(by_protocol(few.paths()), list)
    for path in few.paths():
        document = json.loads(path.read_text())
        document["provenance"]["note"] = {"protocol_hash": "of something else"}  # not the only one any more
        path.write_text(json.dumps(document, indent=indent))
    found, skipped = gather(by_protocol(few.paths()), list)
    assert ([len(records) for records in found], skipped) == ([len(records) for records in expected[0]], [])


def test_a_record_whose_protocol_is_not_what_it_seemed_is_skipped_and_named(few):
    work = by_protocol(few.paths())
    (paths,) = work.values()
    document = json.loads(paths[0].read_text())
    paths[0].write_text(json.dumps(document | {"protocol_hash": "another"}))
    (found,), (skipped,) = gather(work, list)
    assert len(found) == len(paths) - 1
    assert skipped.path == paths[0]
    assert "not what it seemed" in skipped.reason


def test_what_can_not_be_read_is_named_in_order(few):
    for path in few.paths()[1:]:
        path.write_text("{")
    (found,), skipped = gather(by_protocol(few.paths()), list)
    assert len(found) == 1
    assert [item.path for item in skipped] == few.paths()[1:]

"""Workers and the processes above them: whatever happens to one of them, the others and the parent go on."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from campaigns import gone

from genbench.errors import GenbenchError, UsageError
from genbench.plan.exchange import VisibleGpu
from genbench.results.lock import HeldLock
from genbench.runner import workers as module
from genbench.runner.supervisor import RESERVE
from genbench.runner.wire import Inbox, Unreadable, read_event
from genbench.runner.workers import Workers

#: Fork servers of workers that need no torch start at once.
LIGHT = "genbench.runner.answer"


@pytest.fixture
def workers():
    return Workers(LIGHT)


@pytest.fixture
def start(workers):
    """Starts workers by the name of a function in `labour`, which are stopped at the end."""
    started = []

    def start(name, *arguments, **options):
        started.append(workers.start(f"labour:{name}", *arguments, **options))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()


def server():
    return module._servers[LIGHT].process


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lines(worker, count):
    found = []
    wait_for(lambda: found.extend(worker.inbox.lines()) or len(found) >= count)
    return found


# --- answers


def test_an_answer_is_plain_data_of_the_type_that_is_asked_for(workers):
    assert workers.call("labour:give", {"a": [1, 2.5, None]}) == {"a": [1, 2.5, None]}
    gpus = [VisibleGpu("0", "gpu-1")]
    assert workers.call("labour:give", gpus, returns=list[VisibleGpu]) == gpus
    odd = Path(os.fsdecode(b"caf\xe9"))
    assert workers.call("labour:give", [odd], returns=list[Path]) == [odd]
    large = ["x" * 1000] * 5000
    assert workers.call("labour:give", large) == large


def test_an_answer_that_is_no_plain_data_is_an_error_of_that_call(workers):
    with pytest.raises(GenbenchError, match=r"answer of labour:give_foreign is no plain data: .*labour\.Foreign"):
        workers.call("labour:give_foreign")
    with pytest.raises(GenbenchError, match="answer of labour:give is no plain data"):
        workers.call("labour:give", "text", returns=list[VisibleGpu])
    assert workers.call("labour:give", 1) == 1


def test_errors_for_users_keep_their_kind(workers):
    with pytest.raises(UsageError, match="no, said the usage one"):
        workers.call("labour:refuse", "usage")
    with pytest.raises(GenbenchError, match="no, said the other one") as caught:
        workers.call("labour:refuse", "other")
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ("segfault", GenbenchError, "killed by SIGSEGV"),
        ("exit", GenbenchError, "exit code 7"),
        ("sys.exit", RuntimeError, "SystemExit: 0"),
        ("interrupt", RuntimeError, "KeyboardInterrupt"),
    ],
)
def test_a_worker_that_dies_is_an_error_of_that_call(how, error, text, workers):
    with pytest.raises(error, match=text):
        workers.call("labour:leave", how)
    assert workers.call("labour:give", 1) == 1


# --- the wire


def test_what_is_no_message_is_that_worker_s_alone(start):
    scribbling, other = start("scribble", b"\0\0\0\5hello\n"), start("wait")
    with pytest.raises(Unreadable, match="is no JSON"):
        read_event(lines(scribbling, 1)[0])
    assert read_event(lines(other, 1)[0]) == {"phase": "setup"}


@pytest.mark.parametrize("content", [b"\x7f\xff\xff\xff", b'{"phase": "tra', b"\0" * 10])
def test_half_a_message_is_not_waited_for(content):
    reader, writer = os.pipe()
    inbox = Inbox(reader)
    os.write(writer, b'{"phase": "end"}\n' + content)
    assert list(inbox.lines()) == [b'{"phase": "end"}']
    assert list(inbox.lines()) == []
    assert not inbox.closed
    os.close(writer)
    assert list(inbox.lines()) == []
    assert inbox.closed
    inbox.close()


def test_a_message_has_a_limit():
    reader, writer = os.pipe()
    inbox = Inbox(reader, limit=1000)
    os.write(writer, b"x" * 5000)
    with pytest.raises(Unreadable, match="over 1,000 bytes"):
        list(inbox.lines())
    os.close(writer)
    inbox.close()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"[]", "valid dictionary"),
        (b"{}", "phase|discriminator"),
        (b'{"phase": "sleeping"}', "sleeping"),
        (b'{"phase": "training", "seconds": NaN}', "finite"),
        (b'{"phase": "training", "__class__": "x"}', "__class__"),
        (b'{"phase": "curve", "point": 3, "timing": {}}', "point"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b'{"phase": "training", "steps": ' + b"9" * 5000 + b"}", "no JSON"),
    ],
)
def test_an_event_has_a_known_shape(line, text):
    with pytest.raises(Unreadable, match=text):
        read_event(line)


def test_a_copy_that_a_model_forks_of_its_run_ends_when_it_speaks(start):
    worker = start("copy_itself")
    assert worker.wait(20)
    assert [read_event(line)["phase"] for line in worker.inbox.lines()] == ["setup", "end"]
    assert worker.exitcode == 0


def test_a_run_that_closes_the_wire_is_told(start, tmp_path):
    worker = start("close_everything", log=tmp_path / "log.txt")
    assert worker.wait(20)
    assert list(worker.inbox.lines()) == []
    assert "closed within the run" in (tmp_path / "log.txt").read_text()


# --- what ends with what


@pytest.mark.parametrize("how", ["leave_orphans", "leave_orphans_and_wait"])
def test_all_that_a_worker_has_started_ends_with_it(how, tmp_path):
    note = tmp_path / "note"
    worker = Workers(LIGHT).start("genbench.runner.answer:answer", f"labour:{how}", (str(note),), None)
    wait_for(lambda: note.exists() and len(note.read_text().split()) == 4)
    orphans = [int(pid) for pid in note.read_text().split()]
    if how == "leave_orphans":
        assert worker.wait(20)
    else:
        assert all(map(alive, orphans))
    worker.stop()
    assert not any(map(alive, orphans))


def test_a_lock_is_held_until_all_is_gone(start, tmp_path):
    lock = HeldLock.take(tmp_path / "lock")
    worker = start("wait", kept=[lock.descriptor])
    lock.release()
    lines(worker, 1)
    assert HeldLock.take(tmp_path / "lock") is None
    worker.stop()
    HeldLock.take(tmp_path / "lock").release()


def test_a_killed_fork_server_is_started_anew_and_said(start):
    under_way = start("wait")
    lines(under_way, 1)
    killed = server()
    killed.kill()
    killed.wait()
    with pytest.warns(UserWarning, match=r"forked from ended \(killed by SIGKILL\); it is started anew"):
        assert Workers(LIGHT).call("labour:give", 1) == 1
    assert server().pid != killed.pid
    assert alive(under_way.pid)
    under_way.stop()
    assert under_way.exitcode == -signal.SIGKILL


def test_a_killed_supervisor_ends_its_worker_and_what_that_has_started(tmp_path):
    note = tmp_path / "note"
    worker = Workers(LIGHT).start("genbench.runner.answer:answer", "labour:leave_orphans_and_wait", (str(note),), None)
    wait_for(lambda: note.exists() and len(note.read_text().split()) == 4)
    orphans = [int(pid) for pid in note.read_text().split()]
    psutil.Process(worker.pid).parent().kill()
    assert worker.wait(20)
    worker.stop()
    assert worker.exitcode == -signal.SIGKILL
    wait_for(lambda: not any(map(alive, orphans)))
    assert Workers(LIGHT).call("labour:give", 1) == 1


def spares():
    """The supervisors that wait for work; one whose worker has ended may be going meanwhile."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child for child in psutil.Process(server().pid).children() if child.name() == RESERVE]
    return []


def test_a_killed_supervisor_in_reserve_is_replaced(workers):
    workers.call("labour:give", 1)
    wait_for(spares)
    for spare in spares():
        spare.kill()
    assert workers.call("labour:give", 2) == 2


def test_a_stopped_supervisor_is_woken(start):
    worker = start("stop_the_one_above")
    assert read_event(lines(worker, 1)[0]) == {"phase": "end"}
    wait_for(lambda: psutil.Process(worker.pid).parent().status() == psutil.STATUS_STOPPED)
    worker.stop()
    assert worker.exitcode == -signal.SIGKILL
    assert not alive(worker.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_everything_ends_with_a_parent_that_is_killed(number, tmp_path):
    note = tmp_path / "note"
    code = (
        "from genbench.runner.workers import Workers\n"
        f"Workers({LIGHT!r}).call('labour:leave_orphans_and_wait', {str(note)!r})\n"
    )
    environment = os.environ | {
        "GENBENCH_TEST": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TMPDIR": str(tmp_path / ("long" * 30)),  # no socket has its place there
    }
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    wait_for(lambda: note.exists() and len(note.read_text().split()) == 4)
    orphans = [int(pid) for pid in note.read_text().split()]
    parent.send_signal(number)
    parent.wait()
    wait_for(lambda: not any(map(alive, orphans)))
    gone(tmp_path)

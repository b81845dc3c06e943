"""The process above a worker: sees to it that whatever the worker has started ends with it, and it with its campaign.

The fork server forks a supervisor for every worker, and the supervisor forks the worker. All that the worker starts,
also what leaves its session and its process group, stays below the supervisor, which becomes the parent of orphans. The
supervisor runs no foreign code. When the worker ends, or when the campaign lets go of the line to the supervisor or
dies, the supervisor kills what is left and ends.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from genbench.processes import adopt_orphans, kill_children, name_process, signal_at_end_of_parent
from genbench.runner.wire import ParentGone, Wire

#: The signal that asks a run to end where it is and to write the record of what it has reached.
OVERSTAYED = signal.SIGUSR1
#: What supervisors are called in a list of processes, those that have work and the one that has none yet.
WATCHING, RESERVE = "genbench-watch", "genbench-spare"
#: What a campaign sends to have `OVERSTAYED` passed on.
ASK_TO_END = b"a"


@dataclass(frozen=True)
class Request:
    """The description of a worker that is to be started.

    Attributes:
        work: the target (`"module:function"`), called as `function(wire, *arguments)`, and its arguments, pickled.
        path: where modules are looked for.
        folder: the working folder.
        environment: all variables.
        log: the file that standard output and error are added to; None leaves them to the campaign's standard error.
        cores: those that the worker's threads may run on; none leaves that to the system.
        threads: how many it computes with; None leaves that to the system.
    """

    work: bytes
    path: Sequence[str]
    folder: Path
    environment: dict[str, str]
    log: Path | None
    cores: Sequence[int]
    threads: int | None


def supervise(request: int, line: int, wire: int, kept: Sequence[int]) -> NoReturn:
    """Fork a worker and watch over it, in a process that was forked for that.

    Args:
        request: a file with the pickled `Request`.
        line: a socket to the campaign. The supervisor sends `{"supervisor": pid, "worker": pid}`, or `{"refused":
            reason}`, and at last, when nothing is left of the worker, `{"exit": code}`. It is sent `ASK_TO_END`. When
            the campaign's end is closed, the worker is killed.
        wire: where the worker sends its messages.
        kept: other files, which are open until nothing is left of the worker.
    """
    try:
        name_process(WATCHING)
        adopt_orphans()
        signal_at_end_of_parent(signal.SIGCONT)  # so that a stopped one sees that the campaign is gone as well
        with _child_signals() as woken, socket.socket(fileno=line) as campaign:
            supervisor = os.getpid()
            try:
                worker = os.fork()
            except OSError as error:
                _say(campaign, {"refused": str(error)})
                raise
            if worker == 0:
                campaign.close()
                _work(request, wire, supervisor)
            os.close(wire)
            os.close(request)
            _say(campaign, {"supervisor": supervisor, "worker": worker})
            code = _watch(campaign, woken, worker)
            kill_children()
            for each in kept:
                os.close(each)
            _say(campaign, {"exit": code})
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


@contextlib.contextmanager
def _child_signals() -> Iterator[int]:
    """A file that becomes readable when a child ends."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    yield reader


def _watch(campaign: socket.socket, woken: int, worker: int) -> int:
    """The exit code of the worker, which is killed when the campaign lets go."""
    waiting = select.poll()
    waiting.register(campaign, select.POLLIN)
    waiting.register(woken, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in waiting.poll()]
        if woken in ready:
            os.read(woken, 512)
            if (code := _ended(worker)) is not None:
                return code
        if campaign.fileno() in ready:
            try:
                asked = campaign.recv(1)
            except OSError:
                asked = b""
            os.kill(worker, OVERSTAYED if asked else signal.SIGKILL)
            if not asked:
                waiting.unregister(campaign)


def _ended(worker: int) -> int | None:
    """The worker's exit code if it has ended; notice is taken of every child that has."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == worker:
                return os.waitstatus_to_exitcode(found[1])
    return None


def _say(campaign: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        campaign.sendall(json.dumps(message).encode() + b"\n")


def _work(request: int, wire: int, supervisor: int) -> NoReturn:
    """Be the worker."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal_at_end_of_parent(signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(code)
        os.setsid()  # signals to the worker's group, also those of a model, reach nobody else
        with open(request, "rb") as file:
            wanted: Request = pickle.load(file)  # noqa: S301 (the campaign's own)
        _settle(wanted)
        target, arguments = pickle.loads(wanted.work)  # noqa: S301 (as above)
        resolve(target)(Wire(wire), *arguments)
        code = 0
    except ParentGone:
        pass
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def _settle(wanted: Request) -> None:
    """Take on all that makes this process the worker that is wanted."""
    name_process("genbench-work")
    sys.path[:] = wanted.path
    os.environ.clear()
    os.environ.update(wanted.environment)  # the fork server has that of the time it was started
    with contextlib.suppress(OSError):  # it may be gone, and the worker may not need it
        os.chdir(wanted.folder)
    if wanted.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, wanted.cores)
    if wanted.log is not None:
        try:
            descriptor = os.open(wanted.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError:  # a disk that is full costs the log, and not the run
            descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
    if wanted.threads is not None:
        _use_threads(wanted.threads)


def _use_threads(threads: int) -> None:
    """Let this process compute with so many threads."""
    import torch  # only runs are told, and the fork server of runs has it

    torch.set_num_threads(threads)


def resolve(target: str) -> Any:
    """The function that `"module:function"` names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)

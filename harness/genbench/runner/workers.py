"""Worker processes, from a fork server that has imported torch once. The parent never imports it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
from pydantic import TypeAdapter

from genbench.errors import GenbenchError, UsageError
from genbench.processes import PATIENCE, exit_text, kill_tree
from genbench.runner.supervisor import ASK_TO_END, RESERVE, WATCHING, Request
from genbench.runner.wire import ANSWER_LIMIT, REPORT_LIMIT, Inbox, Unreadable

#: How long a supervisor may take to end a worker with all below it before that is done for it, in seconds.
GRACE = 6.0
PLANNING, RUNNING = "genbench.plan.describe", "genbench.runner.preload"
#: glibc's allocator keeps what it has taken for the next step, instead of having the kernel take back and clear every
#: large block after each: Inception's features come 1.4 times faster, for a fifth more memory at the peak there. Blocks
#: that are asked for over and over may be kept several times.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**33)}
#: What a fork server runs.
_SERVE = (
    "import sys; sys.path[:] = {path!r}; from genbench.runner.forkserver import serve; serve({socket}, {preload!r})"
)


class Worker:
    """A worker process under its supervisor, as the parent sees them.

    Attributes:
        inbox: what the worker sends.
        pid: the worker's process.
        exitcode: how the worker ended, once that is known, as `subprocess` gives it.
    """

    def __init__(self, line: socket.socket, inbox: Inbox, server: _Server) -> None:
        self.inbox = inbox
        self.pid = 0
        self.exitcode: int | None = None
        self._line = line
        self._server = server
        self._said = b""
        self._supervisor = 0
        self._gone = False

    def greet(self) -> bool:
        """Wait until the worker has been forked; returns whether that was so.

        Raises:
            GenbenchError: the system has no room for another process.
        """
        while not self._supervisor and not self._gone:
            self._listen(None)
        return self._supervisor != 0

    def wait(self, seconds: float) -> bool:
        """True where the worker, and all that it has started, is gone within so many seconds."""
        deadline = time.monotonic() + seconds
        while not self._gone:
            left = deadline - time.monotonic()
            self._listen(max(left, 0.0))
            if left <= 0:
                break
        return self._gone

    def memory(self) -> int | None:
        """The worker's resident memory in bytes, or None where there is none to see."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid).memory_info().rss or None
        return None

    def ask_to_end(self) -> None:
        """Have the worker end where it is."""
        self._wake()
        with contextlib.suppress(OSError):
            self._line.send(ASK_TO_END)

    def stop(self) -> None:
        """End the worker and whatever it has started, by force."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)
        self._wake()
        if not self.wait(GRACE):
            kill_tree(self._supervisor)
        if self.exitcode is None:  # its supervisor was killed, and it with that
            self.exitcode = -signal.SIGKILL
            self._server.kill_strays_of(self._supervisor)
        self._line.close()
        self.inbox.close()

    def _wake(self) -> None:
        """Have the supervisor go on, which a model may have stopped."""
        if not self._gone and self._supervisor:
            with contextlib.suppress(OSError):
                os.kill(self._supervisor, signal.SIGCONT)

    def _listen(self, seconds: float | None) -> None:
        """Hear what the supervisor says, for so long at most; None for as long as that takes."""
        try:
            if not select.select([self._line], [], [], seconds)[0]:
                return
            heard = self._line.recv(4096)
        except (OSError, ValueError):
            heard = b""
        if not heard:
            self._gone = True
        *lines, self._said = (self._said + heard).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "refused" in message:
                raise GenbenchError(f"can't start another process: {message['refused']}")
            if "exit" in message:
                self.exitcode, self._gone = message["exit"], True
            else:
                self.pid, self._supervisor = message["worker"], message["supervisor"]


class _Server:
    """A fork server, as the parent sees it."""

    def __init__(self, preload: str) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = _SERVE.format(path=sys.path, socket=theirs.fileno(), preload=preload)
        self.process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            # the allocator's settings hold where a program is started with them, and for its forks
            env=ALLOCATOR | os.environ,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # neither Ctrl-C nor the end of a terminal is for it
        )
        theirs.close()

    def fork(self, request: Request, limit: int, kept: Sequence[int]) -> Worker | None:
        """A new worker, or None if the server is not there any more."""
        line, their_line = socket.socketpair()
        reader, writer = os.pipe()
        worker = Worker(line, Inbox(reader, limit), self)
        with os.fdopen(os.memfd_create("genbench-request"), "w+b") as file, their_line, os.fdopen(writer, "wb"):
            pickle.dump(request, file)
            file.seek(0)
            with contextlib.suppress(OSError):  # nobody is there: then there will be no greeting
                socket.send_fds(self.socket, [b"w"], [file.fileno(), their_line.fileno(), writer, *kept])
        if worker.greet():
            return worker
        line.close()
        worker.inbox.close()
        return None

    def kill_strays_of(self, supervisor: int) -> None:
        """Kill what a supervisor has left behind that was killed itself: the server becomes the parent of that."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                children = psutil.Process(self.process.pid).children()
                strays = [child.pid for child in children if child.name() not in (WATCHING, RESERVE)]
            except psutil.Error:
                return
            if not strays and not psutil.pid_exists(supervisor):
                return
            for stray in strays:
                kill_tree(stray)
            time.sleep(0.01)

    def close(self) -> None:
        """Let the server end."""
        self.socket.close()
        self.process.wait()


#: The fork servers of this process by what they have preloaded, which all `Workers` share.
_servers: dict[str, _Server] = {}
_starting = threading.Lock()


class Workers:
    """Starts worker processes.

    Args:
        preload: the module that the fork server imports; `PLANNING` starts sooner, `RUNNING` has all that a run needs.
    """

    def __init__(self, preload: str) -> None:
        self._preload = preload

    def start(
        self,
        target: str,
        *arguments: Any,
        log: Path | None = None,
        cores: Sequence[int] = (),
        threads: int | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        kept: Sequence[int] = (),
        limit: int = REPORT_LIMIT,
    ) -> Worker:
        """Start `target` (`"module:function"`) as `function(wire, *arguments)` in a process of its own.

        Args:
            target: names the function, so that the parent need not import it.
            arguments: pickled.
            log: the file that the process's standard output and error are added to.
            cores: those that its threads may run on; none leaves that to the system.
            threads: how many it computes with; None leaves that to the system.
            environment: variables that it gets on top of ours.
            kept: open files that stay open until the process, and all that it has started, is gone.
            limit: the longest message that it may send, in bytes.

        Raises:
            GenbenchError: the process can't be started.
        """
        request = Request(
            work=pickle.dumps((target, arguments)),
            path=[os.path.abspath(entry) for entry in sys.path],  # noqa: PTH100 (an entry may be the empty string)
            folder=Path.cwd(),
            environment={**ALLOCATOR, **os.environ, **environment},
            log=log,
            cores=cores,
            threads=threads,
        )
        with _starting:
            worker = self._server().fork(request, limit, kept) or self._server().fork(request, limit, kept)
        if worker is None:
            raise GenbenchError(f"worker processes can't be started: {self._end_of_server()}")
        return worker

    def call(self, target: str, *arguments: Any, returns: Any = Any, **share: Any) -> Any:
        """The result of `target` as `function(*arguments)` in a process of its own.

        Args:
            target: names the function.
            arguments: pickled.
            returns: the type of the result, which comes back as JSON.
            share: the share of the hardware, as `start` takes it.

        Raises:
            GenbenchError: the function raised one, the process died, or the answer is of another type.
            RuntimeError: the function raised something else; the message has its traceback.
        """
        worker = self.start("genbench.runner.answer:answer", target, arguments, returns, limit=ANSWER_LIMIT, **share)
        try:
            answer = json.loads(_first_line(worker))
            if "returned" in answer:
                return TypeAdapter(returns).validate_python(answer["returned"])
            if "raised" in answer:
                raise (UsageError if answer["exit_code"] == UsageError.exit_code else GenbenchError)(answer["raised"])
            raise RuntimeError(f"in a worker process:\n{answer['crashed']}")
        except EOFError:
            worker.wait(GRACE)
            worker.stop()
            raise GenbenchError(f"a worker process died in {target}: {exit_text(worker.exitcode)}") from None
        except (Unreadable, ValueError, KeyError, TypeError) as error:
            raise GenbenchError(f"a worker process gave an unreadable answer to {target}: {error}") from error
        finally:
            worker.stop()

    def _server(self) -> _Server:
        """The fork server, which is started where there is none."""
        server = _servers.get(self._preload)
        if server is not None and server.process.poll() is not None:
            end = self._end_of_server()
            warnings.warn(f"the process that runs are forked from ended ({end}); it is started anew", stacklevel=4)
            server.socket.close()
            server = None
        if server is None:
            server = _servers[self._preload] = _Server(self._preload)
        return server

    def _end_of_server(self) -> str:
        return exit_text(_servers[self._preload].process.poll())


def _first_line(worker: Worker) -> bytes:
    """The first message of a worker.

    Raises:
        EOFError: there will be none.
    """
    while not worker.inbox.closed:
        select.select([worker.inbox], [], [])
        for line in worker.inbox.lines():
            return line
    raise EOFError


@atexit.register
def _close_servers() -> None:
    for server in _servers.values():
        server.close()

"""The process that workers are forked from: it has imported once what they need, and does nothing else.

It never initialises CUDA, and no thread runs in it: a fork could use neither. It keeps one supervisor in reserve, so
that no worker waits for two forks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import time
from typing import NoReturn

from genbench.processes import adopt_orphans, name_process
from genbench.runner.supervisor import RESERVE, supervise

#: Descriptors that come with a request at most: see `supervise`.
MOST = 16
#: Seconds between two attempts to fork where the system has no room.
PAUSE = 0.2


def serve(descriptor: int, preload: str) -> NoReturn:
    """Keep a supervisor in reserve that waits for a request on the socket, until the other end is closed.

    Args:
        descriptor: of the socket.
        preload: the module with all that workers need.
    """
    name_process("genbench-forks")
    with contextlib.suppress(OSError):
        os.dup2(2, 1)  # what workers print is no result of the command
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the campaign's to handle
    importlib.import_module(preload)
    adopt_orphans()  # those of a supervisor that was killed, for the campaign to find
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are not waited for
    gc.collect()
    gc.freeze()
    server = socket.socket(fileno=descriptor)
    while True:
        reserve = _fork_reserve(server)
        waiting = select.poll()
        waiting.register(server, 0)  # its end only: the reserve hears the requests
        waiting.register(reserve, 0)
        if any(ready == server.fileno() for ready, _ in waiting.poll()):
            os._exit(0)
        os.close(reserve)


def _fork_reserve(server: socket.socket) -> int:
    """A file whose other end is closed when the supervisor in reserve has found work, or has died."""
    reader, writer = os.pipe()
    while True:
        try:
            forked = os.fork()
        except OSError:
            time.sleep(PAUSE)
            continue
        if forked == 0:
            os.close(reader)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            name_process(RESERVE)
            requested, descriptors, *_ = socket.recv_fds(server, 1, MOST, socket.MSG_CMSG_CLOEXEC)
            if not requested:
                os._exit(0)
            os.close(writer)
            server.close()
            request, line, wire, *kept = descriptors
            supervise(request, line, wire, kept)
        os.close(writer)
        return reader

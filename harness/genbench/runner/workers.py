"""Worker processes, from a fork server that has imported torch once. The parent never imports it."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from genbench.errors import GenbenchError

#: How long a worker that was asked to end may take before it is killed, in seconds.
GRACE = 3.0
#: The signal that asks a run to end where it is and to write the record of what it has reached.
OVERSTAYED = signal.SIGUSR1
PLANNING, RUNNING = "genbench.plan.describe", "genbench.runner.preload"
#: glibc's allocator keeps what it has taken for the next step, instead of having the kernel take back and clear every
#: large block after each: Inception's features come 1.4 times faster, for a fifth more memory at the peak there. Blocks
#: that are asked for over and over may be kept several times.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**33)}


class Worker:
    """A running worker process and the connection that it reports on."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self.connection = connection

    def stop(self) -> None:
        """End the process: politely, then by force; and whatever it has started."""
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        if self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):  # its group ends with its last process
                os.killpg(self.process.pid, signal.SIGKILL)
        self.connection.close()


class Workers:
    """Starts worker processes.

    Args:
        preload: the module that the fork server imports; `PLANNING` starts sooner, `RUNNING` has all that a run needs.
    """

    def __init__(self, preload: str) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([preload])

    def start(
        self,
        target: str,
        *arguments: Any,
        log: Path | None = None,
        cores: Sequence[int] = (),
        threads: int | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Worker:
        """Start `target` (`"module:function"`) as `function(connection, *arguments)` in a process of its own.

        Args:
            target: names the function, so that the parent need not import it.
            arguments: pickled.
            log: the file that the process's standard output and error are added to.
            cores: those that its threads may run on; none leaves that to the system.
            threads: how many it computes with; None leaves that to the system.
            environment: variables that it gets on top of ours.
        """
        here, there = self._context.Pipe()
        variables = {**os.environ, **environment}
        process = self._context.Process(
            target=_main, args=(target, arguments, there, log, variables, tuple(cores), threads)
        )
        with _without_main():
            _ensure_server()
            process.start()
        there.close()
        return Worker(process, here)

    def call(self, target: str, *arguments: Any, **share: Any) -> Any:
        """The result of `target` as `function(*arguments)` in a process of its own, with the share of the hardware that
        `start` takes.

        Raises:
            GenbenchError: the function raised one, or the process died.
        """
        worker = self.start("genbench.runner.workers:_answer", target, arguments, **share)
        try:
            outcome, value = worker.connection.recv()
        except EOFError:
            worker.process.join()
            raise GenbenchError(f"a worker process died in {target}: {exit_text(worker.process.exitcode)}") from None
        finally:
            worker.stop()
        if outcome == "raised":
            raise value
        if outcome == "crashed":
            raise RuntimeError(f"in a worker process:\n{value}")
        return value


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """While this lasts, have no main module: a process that is started then imports none of it. No worker needs it, and
    it may be standard input, a notebook, or a script that would start everything once more."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _ensure_server() -> None:
    """Start the fork server unless it runs: `ALLOCATOR`, where the user has set nothing else, must be in the
    environment that a program is started with, and holds for its forks."""
    added = {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
    os.environ.update(added)
    try:
        forkserver.ensure_running()
    finally:
        for name in added:
            del os.environ[name]


def exit_text(code: int | None) -> str:
    """A process's exit code in words."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _main(
    target: str,
    arguments: tuple[Any, ...],
    connection: Connection,
    log: Path | None,
    environment: dict[str, str],
    cores: tuple[int, ...],
    threads: int | None,
) -> None:
    os.environ.update(environment)  # the fork server has that of the time it was started
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    if threads is not None:
        _use_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.setpgid(0, 0)  # so that what a plugin starts can be ended with it
    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError):  # the parent is gone: nobody is left to report to
        _resolve(target)(connection, *arguments)
    sys.stdout.flush()
    sys.stderr.flush()


def _use_threads(threads: int) -> None:
    """Let this process compute with so many threads."""
    import torch  # only runs are told, and the fork server of runs has it

    torch.set_num_threads(threads)


def _answer(connection: Connection, target: str, arguments: tuple[Any, ...]) -> None:
    try:
        connection.send(("returned", _resolve(target)(*arguments)))
    except GenbenchError as error:
        error.__cause__ = error.__context__ = None
        connection.send(("raised", error))
    except Exception:
        connection.send(("crashed", traceback.format_exc()))


def _resolve(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)

"""Worker processes, from a fork server that has imported torch once. The parent never imports it."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError

#: How long a worker that was asked to end may take before it is killed, in seconds.
GRACE = 3.0
PLANNING, RUNNING = "genbench.plan.describe", "genbench.runner.preload"


class Worker:
    """A running worker process and the connection that it reports on."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self.connection = connection

    def stop(self) -> None:
        """End the process: politely, then by force."""
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.connection.close()


class Workers:
    """Starts worker processes.

    Args:
        preload: the module that the fork server imports; `PLANNING` starts sooner, `RUNNING` has all that a run needs.

    Raises:
        GenbenchError: this is itself a worker that is only just importing the main script, which then calls
            `genbench.run` without the usual `if __name__ == "__main__":` around it.
    """

    def __init__(self, preload: str) -> None:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise GenbenchError('a script that calls genbench.run must do so under if __name__ == "__main__":')
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([preload])

    def start(self, target: str, *arguments: Any, log: Path | None = None) -> Worker:
        """Start `target` (`"module:function"`) as `function(connection, *arguments)` in a process of its own.

        Args:
            target: names the function, so that the parent need not import it.
            arguments: pickled.
            log: the file that the process's standard output and error go to.
        """
        here, there = self._context.Pipe()
        process = self._context.Process(target=_main, args=(target, arguments, there, log, dict(os.environ)))
        process.start()
        there.close()
        return Worker(process, here)

    def call(self, target: str, *arguments: Any) -> Any:
        """The result of `target` as `function(*arguments)` in a process of its own.

        Raises:
            GenbenchError: the function raised one, or the process died.
        """
        worker = self.start("genbench.runner.workers:_answer", target, arguments)
        try:
            outcome, value = worker.connection.recv()
        except EOFError:
            worker.process.join()
            raise GenbenchError(f"a worker process died while planning: {exit_text(worker.process.exitcode)}") from None
        finally:
            worker.stop()
        if outcome == "raised":
            raise value
        if outcome == "crashed":
            raise RuntimeError(f"in a worker process:\n{value}")
        return value


def exit_text(code: int | None) -> str:
    """A process's exit code in words."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _main(
    target: str, arguments: tuple[Any, ...], connection: Connection, log: Path | None, environment: dict[str, str]
) -> None:
    os.environ.update(environment)  # the fork server has that of the time it was started
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError):  # the parent is gone: nobody is left to report to
        _resolve(target)(connection, *arguments)
    sys.stdout.flush()
    sys.stderr.flush()


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

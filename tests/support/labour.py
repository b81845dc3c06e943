"""What the tests of workers have workers do, without torch."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from genbench.errors import GenbenchError, UsageError

#: A program that outlives who has started it, unless it is looked for.
IDLE = [sys.executable, "-c", "import time; time.sleep(600)"]


class Foreign:
    """Something that only the worker knows."""


def give(value):
    return value


def give_foreign():
    return {"it": Foreign()}


def refuse(kind):
    raise {"usage": UsageError, "other": GenbenchError}[kind](f"no, said the {kind} one")


def leave(how):
    if how == "segfault":
        ctypes.string_at(0)
    if how == "exit":
        os._exit(7)
    if how == "sys.exit":
        sys.exit(0)
    if how == "interrupt":
        raise KeyboardInterrupt


def leave_orphans(note):
    """Start a process in a session of its own, a fork of a fork, and one in the group of the worker; note their ids."""
    far = subprocess.Popen(IDLE, start_new_session=True)
    near = subprocess.Popen(IDLE)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        twice = os.fork()
        if twice == 0:
            time.sleep(600)
        os.write(writer, str(twice).encode())
        os._exit(0)
    twice = int(os.read(reader, 20))
    Path(note).write_text(f"{far.pid} {near.pid} {twice} {os.getpid()}")


def leave_orphans_and_wait(note):
    leave_orphans(note)
    time.sleep(600)


def scribble(wire, content):
    """Write to every open file, as a model may that closes or reuses descriptors which are not its own."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, content)
        except OSError:
            continue
    time.sleep(600)


def copy_itself(wire):
    os.fork()
    wire.send({"phase": "setup"})
    wire.send({"phase": "end"})


def stop_the_one_above(wire):
    os.kill(os.getppid(), signal.SIGSTOP)
    wire.send({"phase": "end"})
    time.sleep(600)


def wait(wire):
    wire.send({"phase": "setup"})
    time.sleep(600)


def close_everything(wire):
    os.closerange(3, 4096)
    try:
        wire.send({"phase": "setup"})
    except ConnectionError as error:
        print(error)

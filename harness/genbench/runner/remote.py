"""Runs on machines that share no disk with the campaign: what is sent there, what is done there, what comes back.

There a run is carried out as the local executor does it, in a process of its own with limits that are watched, into a
temporary folder; so whatever becomes of the run, its record says what it would say here. Data sets are read through
the machine's own `GENBENCH_DATA` or cache folder, and so fetched once for each. Both ends need the same genbench, and
plugins that are packages; local plugin files, with what they import from beside them, travel with the run.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError
from genbench.plain import error_text
from genbench.plan.spec import RunSpec
from genbench.plugins.sources import helpers
from genbench.results.lock import HeldLock
from genbench.results.schema import Failure, Record
from genbench.results.store import RECORD, Store, read_record, record_text
from genbench.runner.draft import RESUME, Draft
from genbench.runner.executor import Execution, Job, Limits
from genbench.runner.local import Local
from genbench.runner.slots import Slot
from genbench.runner.workspace import open_workspace

#: Seconds between two looks at what is overdue.
POLL = 0.5
#: Variables that a run gets wherever it runs, if they are set here.
PASSED_ON = ("GENBENCH_DATA", "GENBENCH_CACHE")


@dataclass(frozen=True)
class Order:
    """A run as it is sent to another machine; plain data that can be pickled.

    Attributes:
        threads: how many it computes with, on whatever cores.
        environment: variables that its process gets on top of those it finds.
        plugins: the content of local plugin files and of the local sources that they import, by name; each file has a
            folder, since names may be the same.
        files: the names of the plugin files themselves.
        state: what an earlier process of the run left to go on from, if it left anything.
    """

    spec: RunSpec
    command: list[str]
    limits: Limits
    threads: int | None
    environment: dict[str, str]
    plugins: dict[str, bytes]
    files: tuple[str, ...]
    state: bytes | None

    @classmethod
    def of(cls, job: Job) -> Order:
        """The order for a job."""
        state = job.folder / RESUME
        files = {f"{n}/{Path(file).name}": Path(file) for n, file in enumerate(job.spec.files)}
        beside = {f"{n}/{name}": path for n, file in enumerate(files.values()) for name, path in helpers(file).items()}
        return cls(
            spec=job.spec,
            command=job.command,
            limits=job.limits,
            threads=job.slot.threads,
            environment={name: os.environ[name] for name in PASSED_ON if name in os.environ} | job.slot.environment,
            plugins={name: path.read_bytes() for name, path in (beside | files).items()},
            files=tuple(files),
            state=state.read_bytes() if state.exists() else None,
        )


def carry_out(order: Order) -> Iterator[dict[str, Any]]:
    """Carry a run out on this machine; a generator of its events.

    The last is `{"phase": "end", "files": {name: content}}` with all files of the finished run, the record among them.
    Closing the generator early ends the run.
    """
    with tempfile.TemporaryDirectory(prefix="genbench-") as temporary:
        here = Path(temporary)
        for name, content in order.plugins.items():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_bytes(content)
        # a machine is told which of its GPUs is the run's by CUDA_VISIBLE_DEVICES
        device = "cuda:0" if order.spec.device.startswith("cuda") else order.spec.device
        spec = dataclasses.replace(order.spec, device=device, files=tuple(str(here / name) for name in order.files))
        store = Store(here / "out")
        store.prepare()
        lock = HeldLock.take(store.lock(spec.key))
        assert lock is not None  # nobody else knows the folder
        folder = open_workspace(store, spec.key, resume=False)
        if order.state is not None:
            (folder / RESUME).write_bytes(order.state)
        slot = Slot(threads=order.threads, environment=order.environment)
        running = Local().start(Job(spec, slot, store, order.command, order.limits, lock))
        try:
            while not running.ended:
                wait([running.connection.fileno()], POLL)
                yield from running.events()
            record = running.record()
        finally:
            running.stop()
            lock.release()
        yield {"phase": "end", "files": _files(store, record)}


def _files(store: Store, record: Record) -> dict[str, bytes]:
    folder = store.folder(record.key)
    files = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
    if RECORD not in files:  # the disk of this machine is full
        files[RECORD] = record_text(record).encode()
    return files


class RemoteExecution(Execution):
    """A run on another machine, heard of through a connection.

    Over it come the events of `carry_out`, or `{"phase": "lost", "reason": text}` as the last where the run is lost
    for good. A subclass says how the run is stopped.
    """

    connection: Connection

    def __init__(self, job: Job, connection: Connection) -> None:
        self.job = job
        self.connection = connection
        self.draft = Draft(job.spec)
        self.phase = "setup"
        self.files: dict[str, bytes] = {}
        self.lost = "the connection to it ended"

    def events(self) -> Iterator[dict[str, Any]]:
        try:
            while not self.ended and self.connection.poll(0):
                event = self.connection.recv()
                if event["phase"] == "end":
                    self.files, self.ended = event["files"], True
                elif event["phase"] == "lost":
                    self.lost, self.ended = event["reason"], True
                else:
                    if event["phase"] != "curve":
                        self.phase = event["phase"]
                    if "seconds" in event:
                        self.draft.use_event(event)
                    yield event
        except (EOFError, OSError):
            self.ended = True
        except Exception as error:  # whatever is wrong with what came is wrong with this run alone
            self.lost, self.ended = f"what came from it is unreadable: {error_text(error)}", True

    def record(self) -> Record:
        self.stop()
        try:
            if self.files:
                try:
                    return publish(self.job, self.files)
                except GenbenchError as error:
                    self.lost = str(error)
            self.draft.error = Failure(phase=self.phase, type="Lost", message=self.lost)
            record = self.draft.finish("killed")
            self.job.store.publish(record)
        except OSError as error:
            self.draft.fail(error, self.phase)
            return self.draft.finish("failed")
        return record

    @abstractmethod
    def stop(self) -> None: ...


def publish(job: Job, files: Mapping[str, bytes]) -> Record:
    """Make these files, a record among them, the job's finished run.

    Raises:
        GenbenchError: a name is not that of a plain file, or the record is not a valid one of this run.
        OSError: they can't be written.
    """
    if bad := [name for name in files if name in ("", ".", "..") or "/" in name or "\0" in name]:
        raise GenbenchError(f"it came back with a file of the name {bad[0]!r}")
    folder = job.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    record = read_record(folder / RECORD)
    if not isinstance(record, Record):
        shutil.rmtree(folder)
        raise GenbenchError(f"it came back with a record that is {record.reason}")
    for path in folder.iterdir():  # the state that it went on from, until all else is there
        if path.name not in files:
            path.unlink()
    job.store.move_in(folder, job.spec.key)
    return record

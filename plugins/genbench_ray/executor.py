"""Runs as Ray tasks: each has a GPU or CPUs of its own, streams its events back and at last its files."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import ray
from ray import ObjectRefGenerator
from ray.exceptions import RayError, RayTaskError

from genbench.errors import GenbenchError, UsageError
from genbench.runner.executor import Executor, Job, Slot, VisibleGpu
from genbench.runner.remote import Order, RemoteExecution, carry_out

#: How often a run is started anew whose node or worker process was lost.
REDONE = 3
#: How long a task that was asked to end may take before its process is killed, in seconds.
GRACE = 5.0


class Ray(Executor):
    """Runs on the Ray cluster at `address` (`"auto"` finds one that runs here, as does `RAY_ADDRESS`), or without one
    on a Ray of its own on this machine, which ends with the campaign. Where the calling program has connected to Ray
    already, that is what is used.

    A run on the CPU has the CPUs of a slot, one on CUDA a GPU beside them. One whose node or worker process is lost is
    redone, where Ray finds room, at most three times, from the start or from the state that it began with. Ray is
    trusted with the cores: threads are counted out and not pinned, so a cluster that runs other things starves runs,
    which their records say.

    What is planned is planned on this machine: the data's fingerprint, and the protocol with the hardware's name and
    the number of threads. Nodes should be like it. In a mixed cluster records say in their provenance what they really
    ran on (`cpu`, `gpu`, `threads`, `platform`), while the protocol, and with it the table, counts all nodes as this
    machine: under a steps budget that only blurs times, under a budget in seconds it compares unlike machines.
    """

    def __init__(self, address: str | None) -> None:
        self._ours = not ray.is_initialized()
        if not self._ours:
            return
        try:
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            message = str(error).splitlines()[0]
            raise GenbenchError(f"--executor ray can't reach {address or 'a Ray of its own'}: {message}") from error

    def slots(self, jobs: int | None, gpus: Sequence[VisibleGpu]) -> list[Slot]:
        """As many CPUs for each job as the smallest share of a node that lets all of them run at a time. Which GPU is
        a job's is for Ray to say."""
        if jobs is None:
            jobs = max(int(ray.cluster_resources().get("GPU", 0)), 1) if gpus else 1
        nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        for threads in range(max(nodes, default=0), 0, -1):
            if sum(cpus // threads for cpus in nodes) >= jobs:
                return [Slot(threads=threads)] * jobs
        raise UsageError(f"--jobs {jobs} is more than the {sum(nodes)} CPUs of the Ray cluster: runs never share one")

    def start(self, job: Job) -> RayExecution:
        return RayExecution(job)

    def close(self) -> None:
        if self._ours:
            ray.shutdown()


class RayExecution(RemoteExecution):
    """A Ray task, and a thread that hears what it streams."""

    def __init__(self, job: Job) -> None:
        here, self._there = Pipe(duplex=False)
        super().__init__(job, here)
        self._order = ray.put(Order.of(job))
        self._task: ObjectRefGenerator | None = None
        self._stopped = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._stream, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._task is not None and not self.ended:
                ray.cancel(self._task)
        self.connection.close()  # a thread that is sending gives up
        self._thread.join(GRACE)  # the node clears its folder away
        if self._thread.is_alive():
            ray.cancel(self._task, force=True)
            self._thread.join()

    def _stream(self) -> None:
        with self._there as there:
            try:
                self._send(there)
            except OSError:  # nobody listens any more
                return

    def _send(self, there: Connection) -> None:
        reason = ""
        for _ in range(1 + REDONE):
            try:
                for event in self._start():
                    there.send(ray.get(event))
            except RayTaskError as error:  # genbench itself failed there, and would again
                there.send({"phase": "lost", "reason": f"{type(error.cause).__name__}: {error.cause}"})
                return
            except RayError as error:
                reason = (str(error) or type(error).__name__).splitlines()[0]
                continue
            return
        there.send({"phase": "lost", "reason": f"it was lost {1 + REDONE} times: {reason}"})

    def _start(self) -> Iterator[Any]:
        """What the task streams, as references to it; nothing if the run has been stopped."""
        with self._lock:
            if self._stopped:
                return iter(())
            gpus = 1 if self.job.spec.device.startswith("cuda") else 0
            task: Any = _run.options(num_cpus=self.job.slot.threads, num_gpus=gpus, name=self.job.spec.title)
            self._task = task.remote(self._order)
            return self._task


@ray.remote(num_returns="streaming", max_retries=0)
def _run(order: Order) -> Iterator[dict[str, Any]]:
    yield from carry_out(order)

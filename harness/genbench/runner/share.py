"""What share of its time on the budget clock a run really had: whether others, or the host, were in its way."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import torch

from genbench import clocks as time
from genbench.runner.nvml import Gpu

PROC = Path("/proc")
#: Seconds between two beats of the pulse, and by how much one may be late for no reason.
BEAT, LATE = 0.2, 0.1


class Share:
    """Counts, between `start` and `stop`, what kept the run from its CPU cores.

    `share` = 1 - (waited + max(stolen, stopped)) / wall, where, all in seconds on the clock,

    - *waited* is how long the thread that waited most was ready to run while its core ran something else. It is that
      thread's time, not the sum over threads, because the threads of one computation wait for one another; several
      that wait in turn cost more than this says.
    - *stolen* is how long the host ran other machines on the core that lost most, as far as it is ours: times the
      run's part of all that its cores did.
    - *stopped* is how long the whole process stood still (SIGSTOP, Ctrl-Z, a frozen container): a thread that only
      sleeps woke up late, and neither it nor the thread that trains was running or waiting for a core. It is accurate
      to about 0.2 s each time. A process that is stopped may at the same time be stolen from, so the larger counts.

    Alone on its cores a run has about 1, two busy ones on one core have about 0.5 each. A thread that sleeps because
    it waits for a GPU, a file or another thread has lost nothing. What can't be told apart or seen: more threads than
    cores of the run's own look like other processes; a thread that came and went between two readings is in
    `cpu_seconds` only; a call that sleeps without giving up the interpreter's lock (a page that comes from a slow disk)
    looks like a stop; a core that is slow for other reasons (heat, a shared cache, a busy sibling thread) looks like
    one that is not, and so does a GPU that is shared. A machine that is suspended stands still with its clocks, and
    no time passes at all.

    Reading the counters takes about 0.1 ms for each thread, off the clock; the pulse takes about 0.1 % of a core.

    Args:
        device: the run's.
        proc: where the kernel shows processes.
    """

    def __init__(self, device: torch.device, proc: Path = PROC) -> None:
        self._proc = proc
        self._gpu = Gpu(device)
        self._before: _Counters | None = None
        self._pulse: _Pulse | None = None
        self._known = True
        self._sums = {"wall": 0.0, "cpu": 0.0, "waited": 0.0, "stolen": 0.0, "stopped": 0.0}
        self._busy = {"sum": 0.0, "count": 0.0}

    def start(self) -> None:
        """Begin, or go on, counting; called by the thread that trains."""
        self._pulse = _Pulse(self._proc, threading.get_native_id(), self._gpu)
        self._pulse.start()
        self._before = _Counters.read(self._proc)

    def stop(self) -> None:
        """Stop counting."""
        assert self._before is not None  # `start` was called
        assert self._pulse is not None  # as above
        spent = self._before.until(_Counters.read(self._proc))
        self._pulse.end()
        self._known &= spent.waited is not None
        self._sums["wall"] += spent.wall
        self._sums["cpu"] += spent.cpu
        self._sums["waited"] += spent.waited or 0.0
        self._sums["stolen"] += spent.stolen
        self._sums["stopped"] += self._pulse.stopped
        self._busy["sum"] += sum(self._pulse.utilisation)
        self._busy["count"] += len(self._pulse.utilisation)

    def state(self) -> dict[str, Any]:
        """What another process needs to count on."""
        return {"known": self._known, "sums": dict(self._sums), "busy": dict(self._busy)}

    def restore(self, state: dict[str, Any]) -> None:
        """Count on from `state`."""
        self._known, self._sums, self._busy = state["known"], dict(state["sums"]), dict(state["busy"])

    @property
    def share(self) -> float | None:
        """The share so far, in [0, 1]; None where the kernel does not count how long threads wait."""
        sums = self._sums
        if not self._known or sums["wall"] <= 0:
            return None
        lost = sums["waited"] + max(sums["stolen"], sums["stopped"])
        return min(max(1 - lost / sums["wall"], 0.0), 1.0)

    def timing(self) -> dict[str, float]:
        """For the record: `cpu_seconds` of all threads, and where they are known `share`, `waited_seconds`,
        `steal_seconds`, `stopped_seconds` and `gpu_utilisation` (a mean, in [0, 1])."""
        found = {"cpu_seconds": self._sums["cpu"]}
        if self.share is not None:
            found["share"] = self.share
            found["waited_seconds"] = self._sums["waited"]
            found["steal_seconds"] = self._sums["stolen"]
            found["stopped_seconds"] = self._sums["stopped"]
        if self._busy["count"]:
            found["gpu_utilisation"] = self._busy["sum"] / self._busy["count"]
        return found


@dataclass(frozen=True)
class _Spent:
    """What has been counted between two readings, in seconds; `waited` is None where the kernel does not count."""

    wall: float
    cpu: float
    waited: float | None
    stolen: float


@dataclass(frozen=True)
class _Counters:
    """What the kernel has counted so far, in seconds.

    Attributes:
        cpu: of all threads of this process, also those that have ended.
        waits: of each thread, by its id; None where the kernel does not count them.
        cores: of each core that this process may run on: how long it ran anything, and how long it was stolen.
    """

    wall: float
    cpu: float
    waits: dict[int, float] | None
    cores: dict[int, tuple[float, float]]

    @classmethod
    def read(cls, proc: Path) -> _Counters:
        return cls(time.perf_counter(), time.process_time(), _waits(proc), _cores(proc))

    def until(self, later: _Counters) -> _Spent:
        cpu = later.cpu - self.cpu
        waited = None
        if self.waits is not None and later.waits is not None:
            waited = max(wait - self.waits.get(thread, 0.0) for thread, wait in later.waits.items())
        busy, steals = 0.0, [0.0]
        for core in self.cores.keys() & later.cores.keys():
            (ran_before, stolen_before), (ran, stolen) = self.cores[core], later.cores[core]
            busy += ran - ran_before
            steals.append(stolen - stolen_before)
        ours = min(cpu / busy, 1.0) if busy > 0 else 1.0
        return _Spent(later.wall - self.wall, cpu, waited, ours * max(steals))


def _waits(proc: Path) -> dict[int, float] | None:
    """How long each thread of this process has been ready to run without a core; None where nobody counts."""
    found: dict[int, float] = {}
    counted = 0.0
    try:
        threads = [int(folder.name) for folder in (proc / "self" / "task").iterdir()]
    except OSError:
        return None
    for thread in threads:
        try:
            ran, found[thread] = _schedule(proc, thread)
        except (ProcessLookupError, FileNotFoundError):
            continue  # it has ended since, or there is no such file
        counted += ran
    return found if counted > 0 else None  # a kernel that does not count shows zeros


def _schedule(proc: Path, thread: int) -> tuple[float, float]:
    """For how many seconds a thread of this process has run, and has waited for a core."""
    ran, waited, _ = _counter(proc, thread).read_bytes().split()
    return int(ran) / 1e9, int(waited) / 1e9


def _counter(proc: Path, thread: int) -> Path:
    return proc / "self" / "task" / str(thread) / "schedstat"


def _cores(proc: Path) -> dict[int, tuple[float, float]]:
    """Of each core that this process may run on: for how many seconds it ran anything, and was stolen by the host."""
    if not hasattr(os, "sched_getaffinity"):
        return {}
    mine = {f"cpu{core}": core for core in os.sched_getaffinity(0)}
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    try:
        lines = (proc / "stat").read_text().splitlines()
    except OSError:
        return {}
    for line in lines:
        name, *counters = line.split()
        if name in mine:
            user, nice, system, _idle, _io, irq, softirq, steal = (int(counter) / tick for counter in counters[:8])
            found[mine[name]] = (user + nice + system + irq + softirq, steal)
    return found


class _Pulse(threading.Thread):
    """Wakes up every `BEAT` seconds, to notice when the process stood still, and to look at the GPU.

    Attributes:
        stopped: for how many seconds the process stood still.
        utilisation: the GPU's at every beat.
    """

    def __init__(self, proc: Path, trainer: int, gpu: Gpu) -> None:
        super().__init__(daemon=True)
        self._proc = proc
        self._trainer = trainer
        self._gpu = gpu
        self._end = threading.Event()
        self.stopped = 0.0
        self.utilisation: list[float] = []

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            counters: list[FileIO] = []
            # the thread that trains may hold the interpreter's lock, and this one may wait for a core itself
            threads = (self._trainer, threading.get_native_id())
            with contextlib.suppress(OSError):  # where there is no counter, there will be no share
                files = (_counter(self._proc, thread).open("rb", buffering=0) for thread in threads)
                counters.extend(map(stack.enter_context, files))
            self._beat(counters)

    def _beat(self, counters: list[FileIO]) -> None:
        ended = False
        beat, awake = time.perf_counter(), _awake(counters)
        while not ended:
            ended = self._end.wait(BEAT)
            now, awake_now = time.perf_counter(), _awake(counters)
            self.stopped += standstill(now - beat, awake_now - awake)
            beat, awake = now, awake_now
            if not ended and (utilisation := self._gpu.utilisation()) is not None:
                self.utilisation.append(utilisation)

    def end(self) -> None:
        """Wake up for the last time."""
        self._end.set()
        self.join()


def _awake(counters: list[FileIO]) -> float:
    """For how many seconds the threads of these counters have run or waited for a core."""
    fields = [os.pread(counter.fileno(), 80, 0).split() for counter in counters]
    return sum(int(ran) + int(waited) for ran, waited, _ in fields) / 1e9


def standstill(passed: float, awake: float) -> float:
    """For how many of the `passed` seconds from one beat to the next the process stood still, if its threads were
    running or waiting for a core in `awake` of them."""
    still = passed - max(BEAT, awake)
    return still if still > LATE else 0.0

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from genbench.cli import main
from genbench.plan.budget import Budget
from genbench.results.store import Store
from genbench.runner import share as share_module
from genbench.runner.clock import BudgetClock
from genbench.runner.share import BEAT, LATE, PROC, Share, standstill

CPU = torch.device("cpu")
counted = pytest.mark.skipif(
    not (PROC / "self" / "schedstat").exists(), reason="this kernel does not count how long threads wait"
)


class Time:
    """Clocks that go when they are told to."""

    def __init__(self):
        self.wall = self.cpu = 50.0

    def perf_counter(self):
        return self.wall

    def process_time(self):
        return self.cpu


class Machine:
    """A kernel's counters in files: threads of this process, and two cores that it may run on."""

    def __init__(self, proc):
        self.proc = proc
        self.cores = {0: [1000, 1000], 1: [2000, 2000]}  # busy, stolen, in ticks of 10 ms
        self.thread(1, ran=5, waited=3)
        self.core(0)

    def thread(self, number, ran, waited):
        folder = self.proc / "self" / "task" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schedstat").write_text(f"{round(ran * 1e9)} {round(waited * 1e9)} 17\n")

    def core(self, number, busy=0.0, stolen=0.0):
        """More seconds of a core, a third of the busy ones each for the user, politely, and for the system."""
        self.cores[number][0] += round(100 * busy)
        self.cores[number][1] += round(100 * stolen)
        lines = ["cpu  9 9 9 9 9 9 9 9 0 0"]
        for core, (ran, steal) in self.cores.items():
            third = ran // 3
            lines.append(f"cpu{core} {third} {third} {ran - 2 * third} 123456 789 0 0 {steal} 5 5")
        lines.append("cpu2 7 7 7 7 7 7 7 999999 0 0")
        (self.proc / "stat").write_text("\n".join([*lines, "intr 5", "ctxt 17"]) + "\n")


@pytest.fixture
def clock(monkeypatch):
    time = Time()
    monkeypatch.setattr(share_module, "time", time)
    monkeypatch.setattr(share_module, "standstill", lambda passed, awake: 0.0)  # its clock jumps
    monkeypatch.setattr(share_module.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(share_module.os, "sysconf", lambda _: 100)
    return time


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_run_that_never_waits_had_all_of_its_time(clock, machine):
    share = Share(CPU, machine.proc)
    share.start()
    clock.wall += 10
    clock.cpu += 10
    machine.thread(1, ran=15, waited=3)
    machine.core(1, busy=10)
    share.stop()
    assert share.timing() == {
        "cpu_seconds": 10,
        "share": 1,
        "waited_seconds": 0,
        "steal_seconds": 0,
        "stopped_seconds": 0,
    }


def test_a_run_that_sleeps_has_lost_nothing(clock, machine):
    share = Share(CPU, machine.proc)
    share.start()
    clock.wall += 10
    clock.cpu += 0.1
    share.stop()
    assert (share.share, share.timing()["cpu_seconds"]) == (1, pytest.approx(0.1))


def test_the_thread_that_waited_most_counts_and_not_the_sum(clock, machine):
    machine.thread(2, ran=1, waited=100)
    machine.thread(3, ran=1, waited=200)
    share = Share(CPU, machine.proc)
    share.start()
    clock.wall += 10
    machine.thread(1, ran=5, waited=4)  # one second
    machine.thread(2, ran=5, waited=105)  # five
    (machine.proc / "self" / "task" / "3" / "schedstat").unlink()  # it has ended
    machine.thread(4, ran=2, waited=2.5)  # it has come
    share.stop()
    assert share.share == pytest.approx(0.5)


def test_what_happens_off_the_clock_does_not_count(clock, machine):
    share = Share(CPU, machine.proc)
    waited = 3.0
    for on, off in ((1.0, 40.0), (2.0, 50.0)):
        share.start()
        clock.wall += 5
        clock.cpu += 4
        waited += on
        machine.thread(1, ran=9, waited=waited)
        share.stop()
        clock.wall += 100
        clock.cpu += 90
        waited += off
        machine.thread(1, ran=99, waited=waited)
        machine.core(0, stolen=30)
    timing = share.timing()
    assert timing["waited_seconds"] == pytest.approx(3)
    assert timing["cpu_seconds"] == pytest.approx(8)
    assert timing["steal_seconds"] == 0
    assert timing["share"] == pytest.approx(0.7)


@pytest.mark.parametrize(("busy", "ours"), [(8.0, 1.0), (16.0, 0.5), (4.0, 1.0)])
def test_steal_counts_where_it_is_most_and_as_far_as_it_is_ours(clock, machine, busy, ours):
    share = Share(CPU, machine.proc)
    share.start()
    clock.wall += 10
    clock.cpu += 8
    machine.core(0, busy=busy / 2, stolen=2)
    machine.core(1, busy=busy / 2, stolen=1)
    share.stop()
    assert share.timing()["steal_seconds"] == pytest.approx(2 * ours)
    assert share.share == pytest.approx(1 - 0.2 * ours)


def test_of_standing_still_and_being_stolen_from_the_larger_counts(clock, machine):
    sums = {"wall": 10.0, "cpu": 1.0, "waited": 1.0, "stolen": 3.0, "stopped": 4.0}
    share = Share(CPU, machine.proc)
    share.restore({"known": True, "sums": sums, "busy": {"sum": 0.0, "count": 0.0}})
    assert share.share == pytest.approx(0.5)


def test_another_process_counts_on(clock, machine):
    first, second = Share(CPU, machine.proc), Share(CPU, machine.proc)
    first.start()
    clock.wall += 10
    machine.thread(1, ran=5, waited=8)
    first.stop()
    second.restore(first.state())
    second.start()
    clock.wall += 10
    second.stop()
    assert second.share == pytest.approx(0.75)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda machine: (machine.proc / "self" / "task" / "1" / "schedstat").unlink(),
        lambda machine: machine.thread(1, ran=0, waited=0),
        lambda machine: (machine.proc / "self").rename(machine.proc / "none"),
    ],
    ids=["no such file", "a kernel that shows zeros", "no such folder"],
)
def test_where_the_kernel_does_not_count_there_is_no_share(clock, machine, break_it):
    break_it(machine)
    share = Share(CPU, machine.proc)
    share.start()
    clock.wall += 10
    clock.cpu += 2
    share.stop()
    assert share.share is None
    assert share.timing() == {"cpu_seconds": 2}


def test_waiting_counts_also_where_steal_is_not_shown(clock, machine):
    (machine.proc / "stat").unlink()
    share = Share(CPU, machine.proc)
    share.start()
    clock.wall += 10
    machine.thread(1, ran=5, waited=8)
    share.stop()
    assert share.share == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("passed", "awake", "still"),
    [
        (BEAT, 0.0, 0.0),  # on time
        (BEAT + 0.9 * LATE, 0.0, 0.0),  # a little late
        (BEAT + 3, 0.5 * BEAT, 3.0),  # stopped
        (BEAT + 3, 1 + BEAT, 2.0),  # stopped, and busy before or after
        (3.0, 3.0, 0.0),  # a call held the interpreter's lock, or the cores were taken
        (BEAT, 2 * BEAT, 0.0),  # several threads at work
    ],
)
def test_the_process_stood_still_where_it_neither_slept_nor_ran_nor_waited(passed, awake, still):
    assert standstill(passed, awake) == pytest.approx(still)


def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(1000))


@counted
def test_a_busy_thread_has_the_share_that_its_cpu_time_says():
    """However loaded the machine is."""
    share = Share(CPU)
    share.start()
    start = time.perf_counter()
    busy(1.0)
    share.stop()
    had = share.timing()["cpu_seconds"] / (time.perf_counter() - start)
    assert share.share == pytest.approx(had, abs=0.15)


@counted
def test_with_another_busy_process_on_its_core_it_has_half_of_its_time_or_less():
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(mine)})
    other = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        share = Share(CPU)
        share.start()
        busy(1.0)
        share.stop()
    finally:
        os.sched_setaffinity(0, mine)
        other.kill()
        other.communicate()
    assert share.share < 0.7
    assert share.timing()["waited_seconds"] > 0.3


STOPPED = """
import sys, time, torch
from genbench.runner.share import Share

for _ in range(2):
    share = Share(torch.device("cpu"))
    share.start()
    print("go", flush=True)
    while not sys.stdin.readline():
        pass
    share.stop()
    print(share.timing()["stopped_seconds"], flush=True)
"""


@counted
def test_a_process_that_is_stopped_loses_that_time_and_one_that_waits_for_input_does_not():
    child = subprocess.Popen([sys.executable, "-c", STOPPED], stdin=-1, stdout=-1, text=True, bufsize=1)
    found = []
    for stop in (False, True):
        assert child.stdout.readline() == "go\n"
        if stop:
            child.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        child.send_signal(signal.SIGCONT)
        child.stdin.write("on\n")
        found.append(float(child.stdout.readline()))
    child.communicate()
    assert found[1] > 0.7
    assert found[1] > found[0] + 0.5


@counted
def test_a_runs_record_says_what_it_had_and_cost(tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["run", "-m", "linear_ae", "-b", "20steps", "--metrics", "reconstruction", "-o", str(tmp_path)])
    assert end.value.code == 0
    (record,) = [record for record in Store(tmp_path).read_all()[0] if record.spec.family != "reference"]
    timing = record.timing
    assert timing["cpu_seconds"] > 0
    assert 0 <= timing["share"] <= 1
    assert timing["training"] == record.budget.used.seconds
    assert timing["curve"] > 0


def test_a_budget_clock_counts_on_the_clock_only():
    clock = BudgetClock(Budget(steps=2), CPU, epoch=10)
    for _ in range(2):
        clock.start()
        clock.tick(1)
        clock.stop()
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass
    assert clock.timing()["cpu_seconds"] < 0.1


def test_a_budget_clock_that_counts_on_knows_what_it_spent_itself():
    first, second = (BudgetClock(Budget(steps=9), CPU, epoch=10) for _ in range(2))
    first.start()
    time.sleep(0.2)
    first.stop()
    second.restore(first.state())
    second.start()
    time.sleep(0.05)
    second.stop()
    assert second.seconds == pytest.approx(first.seconds + second.seconds_here)
    assert second.seconds_here >= 0.05
    assert second.timing()["cpu_seconds"] > first.timing()["cpu_seconds"]

"""What 20,000 records cost: seconds and peak memory to list, tabulate and report them, each in a process of its own,
which may start others."""

import subprocess
import sys
import time

import psutil
import pytest
from many_records import write_many

RECORDS, SECONDS, MIB = 20_000, 5, 500
LISTING = (
    "import sys, pathlib; from genbench.results.store import Store; "
    "Store(pathlib.Path(sys.argv[1])).read_all(curves=False)"
)
#: What is measured, after the interpreter's own options.
TASKS = {
    "list": ["-c", LISTING],
    "table": ["-c", "import sys; from genbench.cli import main; main(['table', *sys.argv[1:]])"],
    "report": ["-c", "import sys; from genbench.cli import main; main(['report', *sys.argv[1:]])"],
    "export": [
        "-c",
        "import sys; from genbench.cli import main; main(['export', *sys.argv[1:], '--to', 'all.parquet'])",
    ],
}
#: Those that keep within the limits; the others are only printed. Half the time of a report goes into fifty plots.
IN_TIME = ["list", "table"]
IN_MEMORY = ["list", "table", "report"]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return write_many(tmp_path_factory.mktemp("many"), RECORDS)


@pytest.mark.parametrize("task", TASKS)
def test_many_records(benchmark, many, tmp_path, task):
    peaks = []

    def once():
        start = time.perf_counter()
        process = psutil.Popen([sys.executable, *TASKS[task], str(many)], cwd=tmp_path, stdout=subprocess.DEVNULL)
        peaks.append(peak_mib(process))
        return time.perf_counter() - start

    benchmark.pedantic(once, rounds=1)
    seconds, peak = benchmark.stats.stats.min, max(peaks)
    benchmark.extra_info |= {"peak_mib": peak}
    print(f"\n{task} of {RECORDS:,} records: {seconds:.1f} s, {peak:.0f} MiB")
    if task in IN_TIME:
        assert seconds < SECONDS
    if task in IN_MEMORY:
        assert peak < MIB


def peak_mib(process):
    """Wait for the process; the most memory that it and its children held at a time, in MiB. What several of them share
    counts once (PSS): they are forks of the first."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(held(each) for each in family(process)))
        time.sleep(0.1)  # looking takes time as well
    assert process.wait() == 0
    return peak / 2**20


def family(process):
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def held(process):
    try:
        return process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it has just ended
        return 0

"""What 20,000 records cost: seconds and peak memory to list, tabulate and report them, each in a process of its own."""

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
#: Those that keep within the limits; the others are only printed. A table takes half as long again as reading what it
#: is made of; of a report, half the time goes into fifty plots, and the libraries that draw them take 160 MiB.
IN_TIME = ["list"]
IN_MEMORY = ["list", "table"]


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
    """Wait for the process; the most memory it held, in MiB, as the system counts it."""
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    assert process.wait() == 0
    return peak / 2**20

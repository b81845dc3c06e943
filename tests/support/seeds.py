"""Runs the stochastic tests at several shifts of every seed, on one thread and on two: `tox -e seeds`."""

import os
import re
import subprocess
import sys
import time

SHIFTS = (1000, 2000, 3000, 4000, 5000)
THREADS = (1, 2)
TESTS = [f"tests/{name}" for name in ("exact", "families", "model", "metrics", "selftest", "data", "datasets")]


def main(arguments):
    """Run pytest for every shift and number of threads; 1 if any test failed."""
    failed = False
    for shift in SHIFTS:
        for threads in THREADS:
            start = time.monotonic()
            done = run(shift, threads, arguments)
            failed |= done.returncode != 0
            took = f"{time.monotonic() - start:.0f} s"
            print(f"shift {shift}, {threads} thread(s), {took}: {summary(done.stdout)}", flush=True)
            for line in re.findall(r"^(?:FAILED|ERROR) .*", done.stdout, re.MULTILINE):
                print(f"  {line}", flush=True)
    return int(failed)


def run(shift, threads, arguments):
    """The outcome of pytest in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    side_by_side = ["--numprocesses=logical", "--maxprocesses=4"] if threads == 1 else []
    command = [sys.executable, "-m", "pytest", "-q", f"--seed-shift={shift}", *side_by_side, *(arguments or TESTS)]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)


def summary(output):
    """The last line that pytest prints, which counts what passed and what failed."""
    lines = output.strip().splitlines()
    return lines[-1].strip("= ") if lines else "pytest printed nothing"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

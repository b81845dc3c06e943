"""What a run costs beside its training, and how well a budget binds."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest


def run(out, *arguments):
    """Run genbench; its wall time in seconds and the parent's peak memory in MiB."""
    program = Path(sys.executable).with_name("genbench")
    start = time.perf_counter()
    process = subprocess.Popen([program, "run", *arguments, "--out", str(out)], stdout=-3, stderr=-3)
    peak = 0
    parent = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, parent.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    assert process.wait() == 0
    return time.perf_counter() - start, peak / 2**20


def records(out):
    found = [json.loads(path.read_text()) for path in Path(out).glob("runs/*/record.json")]
    return [record for record in found if record["spec"]["family"] != "reference"]


@pytest.mark.parametrize("model", ["vae", "vqvae", "realnvp"])
def test_what_a_run_costs_beyond_its_budget(benchmark, tmp_path, model):
    """Everything: planning, start, set-up, the curve, evaluation with the default metrics, reference rows, report."""
    found = {}

    def once():
        found["wall"], found["parent"] = run(tmp_path, "-m", model, "-b", "10s")

    benchmark.pedantic(once, rounds=1)
    (record,) = records(tmp_path)
    overhead = found["wall"] - record["budget"]["used"]["seconds"]
    timing = record["timing"]
    own = timing["setup"] + timing["curve"] + timing["evaluation"]
    benchmark.extra_info |= {"overhead_s": overhead, "run_s": own, "parent_mib": found["parent"]}
    print(
        f"\n{model}: {own:.1f} s beside its training, {overhead:.1f} s with all else; parent {found['parent']:.0f} MiB"
    )
    assert own <= 15
    assert found["parent"] < 200


def test_a_budget_of_60_s_overshoots_by_at_most_one_percent_or_one_step(benchmark, tmp_path):
    benchmark.pedantic(lambda: run(tmp_path, "-m", "realnvp", "-b", "60s", "--metrics", "likelihood"), rounds=1)
    (record,) = records(tmp_path)
    used = record["budget"]["used"]
    over = used["seconds"] - 60
    benchmark.extra_info |= {"overshoot_s": over, "step_s": used["seconds"] / used["steps"]}
    print(f"\na 60 s budget is overshot by {over:.4f} s; one step takes {used['seconds'] / used['steps']:.4f} s")
    assert 0 <= over <= max(0.6, used["seconds"] / used["steps"])

"""The processes that others are forked from have loaded what a run's first step loads, and never initialised CUDA; that
is seen without a GPU, by a stand-in for its driver."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from campaigns import COMMAND, FAKES, arguments

STUB = Path(__file__).parents[1] / "support" / "cuda_stub.c"
THREADED = str(Path(__file__).with_name("threaded.py"))
#: What the fork server of runs once did before it forked.
A_STEP_BEFORE_A_FORK = """
import os
import torch

torch.ones(1, requires_grad=True).sum().backward()
if os.fork() == 0:
    os._exit(0)
os.wait()
"""
FIRST_STEP = """
import sys
import torch

def loaded():
    before = set(sys.modules)
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.zeros(1, 2)).sum().backward()
    optimizer.step()
    return sorted(set(sys.modules) - before)
"""
ASK = """
import json
from genbench.runner.workers import RUNNING, Workers

print(json.dumps(Workers(RUNNING).call("first_step:loaded")))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The folder of the stand-in."""
    if torch.cuda.device_count():
        pytest.skip("there is a driver here: the tests of test_cuda.py try it")
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler, cc, to make the stand-in")
    folder = tmp_path_factory.mktemp("driver")
    subprocess.run(["cc", "-shared", "-fPIC", "-pthread", "-o", folder / "libcuda.so.1", STUB], check=True)
    return folder


@pytest.fixture
def noted(driver, tmp_path):
    """Given a command that is to end well: the processes that initialised CUDA in it, and those forked from such."""

    def run(*command):
        log = tmp_path / "log"
        libraries = ":".join([str(driver), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
        environment = os.environ | {"CUDA_STUB_LOG": str(log), "LD_LIBRARY_PATH": libraries, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
        return [[rest for what, rest in lines if what == which] for which in ("initialised", "forked")]

    return run


def test_the_first_step_of_a_run_loads_no_module(tmp_path):
    (tmp_path / "first_step.py").write_text(FIRST_STEP)
    done = subprocess.run([sys.executable, "-c", ASK], cwd=tmp_path, check=True, capture_output=True)
    assert json.loads(done.stdout) == []


def test_the_stand_in_notes_a_training_step_before_a_fork(noted):
    """The tests below assert that no fork is noted; here one is, as it was when the fork server took a step."""
    initialised, forked = noted(sys.executable, "-c", A_STEP_BEFORE_A_FORK)
    assert initialised
    assert len(forked) == 1


@pytest.mark.parametrize("executor", [[], ["-p", THREADED, "--executor", "threaded"]], ids=["local", "remote"])
def test_no_run_is_forked_from_a_process_that_has_initialised_cuda(executor, noted, tmp_path):
    """As `remote` the runs have a fork server that `carry_out` has started, as on the nodes of a Ray cluster."""
    initialised, forked = noted(*COMMAND, *arguments("fine", tmp_path / "out"), *executor)
    assert initialised  # by the run's own training steps, which nobody is forked from
    assert forked == []


def test_nor_is_a_planning_process(noted):
    initialised, forked = noted(*COMMAND, "plan", "-m", "pca", "-p", FAKES)
    assert initialised  # by the process that counts the GPUs
    assert forked == []

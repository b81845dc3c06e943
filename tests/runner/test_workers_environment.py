"""Workers keep the memory that they have once taken; the parent and the user's own settings are left alone."""

import json
import os
import platform
import subprocess
import sys

import pytest

from genbench.runner.workers import ALLOCATOR

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="these are settings of glibc")
PAGE_FAULTS = """
import resource
import torch

def faults():
    def once():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(10 * 2**20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return [once() for _ in range(32)][-8:]
"""
SCRIPT = """
import json, os
from genbench.runner.workers import ALLOCATOR, PLANNING, Workers

workers = Workers(PLANNING)
seen = {name: workers.call("os:getenv", name) for name in ALLOCATOR}
ours = {name: os.environ.get(name) for name in ALLOCATOR}
print(json.dumps([seen, ours, workers.call("page_faults:faults")]))
"""


@pytest.fixture
def in_a_worker(tmp_path):
    """Given the user's settings of the allocator: a worker's, its parent's, and the worker's page faults when it has
    asked for 40 MiB again and again."""
    (tmp_path / "page_faults.py").write_text(PAGE_FAULTS)

    def answers(settings):
        environment = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
        environment |= {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", **settings}
        command = [sys.executable, "-c", SCRIPT]
        return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)

    return answers


def test_a_worker_keeps_the_memory_that_it_has_taken(in_a_worker):
    seen, ours, faults = in_a_worker({})
    assert seen == ALLOCATOR
    assert ours == dict.fromkeys(ALLOCATOR)
    assert max(faults) < 100


def test_the_user_s_own_settings_stay(in_a_worker):
    settings = {"MALLOC_MMAP_MAX_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072"}
    seen, ours, faults = in_a_worker(settings)
    assert seen == ours == settings
    assert min(faults) > 100

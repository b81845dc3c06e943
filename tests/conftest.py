import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Before a worker of pytest-xdist takes its part of them.
CORES = sorted(os.sched_getaffinity(0))


def pytest_addoption(parser):
    parser.addoption("--seed-shift", type=int, default=0, metavar="N", help="add N to every seed that tests fix")


def pytest_configure(config):
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        # several threads each on the same cores would wait for each other most of the time
        number, count = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.sched_setaffinity(0, CORES[number::count] or CORES)
    if shift := config.getoption("--seed-shift"):
        from seedshift import SeedShift  # imports torch, which takes seconds

        config.pluginmanager.register(SeedShift(shift))


def pytest_collection_modifyitems(items):
    too_few = pytest.mark.skip(reason="needs two cores")
    for item in items:
        if len(CORES) < 2 and item.get_closest_marker("two_cores"):
            item.add_marker(too_few)
    missing = pytest.mark.skip(reason="needs the MNIST files: set GENBENCH_DATA to a folder with MNIST/raw")
    folder = os.environ.get("GENBENCH_DATA")
    if folder is None or not (Path(folder) / "MNIST" / "raw" / "train-images-idx3-ubyte").exists():
        for item in items:
            if item.get_closest_marker("mnist"):
                item.add_marker(missing)


@pytest.fixture(autouse=True)
def all_cores(request):
    """A test that needs two cores has all of them, whatever the part of this process is."""
    if not request.node.get_closest_marker("two_cores"):
        yield
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    yield
    os.sched_setaffinity(0, mine)


@pytest.fixture(scope="session")
def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True, scope="session")
def nothing_of_the_users(tmp_path_factory):
    """Whatever a test makes genbench keep, it keeps elsewhere, and it waits for no campaign of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield

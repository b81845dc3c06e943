import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser):
    parser.addoption("--seed-shift", type=int, default=0, metavar="N", help="add N to every seed that tests fix")


def pytest_configure(config):
    if shift := config.getoption("--seed-shift"):
        from seedshift import SeedShift  # imports torch, which takes seconds

        config.pluginmanager.register(SeedShift(shift))


def pytest_collection_modifyitems(items):
    missing = pytest.mark.skip(reason="needs the MNIST files: set GENBENCH_DATA to a folder with MNIST/raw")
    folder = os.environ.get("GENBENCH_DATA")
    if folder is None or not (Path(folder) / "MNIST" / "raw" / "train-images-idx3-ubyte").exists():
        for item in items:
            if item.get_closest_marker("mnist"):
                item.add_marker(missing)


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

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


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

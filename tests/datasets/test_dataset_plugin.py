import subprocess
import sys
from importlib import import_module

import pytest

import genbench_datasets
from genbench import DatasetEntry
from genbench.data import DatasetSource

ENTRIES = list(genbench_datasets.genbench_datasets())


def test_the_standard_datasets_are_offered() -> None:
    names = ["digits", "toy2d", "sprites", "mnist", "fashion-mnist", "cifar10", "folder"]
    assert [entry.name for entry in ENTRIES] == names
    assert genbench_datasets.GENBENCH_API == 1


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_target_is_a_source_whose_options_are_described(entry: DatasetEntry) -> None:
    module, _, name = entry.target.partition(":")
    source = getattr(import_module(module), name)
    assert issubclass(source, DatasetSource)
    assert all(field.description for field in source.Config.model_fields.values())


def imported(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after `statement`."""
    program = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_listing_the_datasets_imports_nothing_heavy() -> None:
    heavy = {"torch", "torchvision", "numpy", "sklearn", "PIL", "pandas"}
    assert not heavy & imported("import genbench_datasets; list(genbench_datasets.genbench_datasets())")


def test_the_sources_import_no_torch() -> None:
    modules = ", ".join({entry.target.partition(":")[0] for entry in ENTRIES})
    assert not {"torch", "torchvision", "sklearn"} & imported(f"import {modules}")

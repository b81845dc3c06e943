"""A plugin's sources are its package's and what they import locally: an edit of any of them counts, and of no other."""

import sys

import pytest

from genbench.plugins.catalogue import Catalogue
from genbench.plugins.sources import file_hash, helpers, package_hash, top_level


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_helpers_are_found_wherever_they_are_imported(write, tmp_path):
    path = write("plugin.py", "import json, torch, genbench\ndef late():\n    from pack.part import x\n")
    write("pack/__init__.py", "")
    write("pack/part.py", "import deeper")
    write("pack/other.py", "")
    write("deeper.py", "import plugin")
    write("unrelated.py", "")
    expected = {"deeper.py", "pack/__init__.py", "pack/other.py", "pack/part.py"}
    assert helpers(path) == {name: tmp_path / name for name in expected}


@pytest.mark.parametrize("edited", ["plugin.py", "helper.py"])
def test_an_edit_of_the_file_or_of_a_helper_changes_the_hash_and_an_edit_elsewhere_does_not(write, edited):
    path = write("plugin.py", "import helper")
    write("helper.py", "x = 1")
    before = file_hash(path)
    write("elsewhere.py", "x = 2")
    assert file_hash(path) == before
    write(edited, "import helper; x = 3")
    assert file_hash(path) != before


def test_a_file_that_is_no_python_has_a_hash(write):
    assert len(file_hash(write("plugin.py", "def broken(:"))) == 12
    assert len(file_hash(write("other.py", "\x00"))) == 12


def test_an_editable_package_counts_with_the_local_ones_that_it_imports(write, tmp_path, monkeypatch):
    write("editable_one/__init__.py", "from editable_two import x")
    write("editable_two.py", "x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    hashes = []
    for text in ("x = 1", "x = 2", "x = 1"):
        write("editable_two.py", text)
        hashes.append(package_hash(top_level("editable_one.models:M")))
    assert hashes[0] == hashes[2] != hashes[1]
    assert "editable_one" not in sys.modules


def test_the_source_of_a_built_in_model_is_its_family_s_package():
    catalogue = Catalogue.find()
    models = catalogue.models
    families = {offer.entry.target.partition(".")[0]: set() for offer in models.values()}
    for offer in models.values():
        families[offer.entry.target.partition(".")[0]].add(catalogue.source(offer))
    assert all(len(found) == 1 for found in families.values())
    assert len(set.union(*families.values())) == len(families)


def test_a_model_that_a_file_takes_from_beside_it_has_that_source(write):
    path = write(
        "plugin.py",
        "import genbench\nGENBENCH_API = 1\n@genbench.hookimpl\ndef genbench_models():\n"
        "    yield genbench.ModelEntry('m', 'beside:M', 'mine', 'one')\n",
    )
    write("beside.py", "x = 1")

    def source():
        catalogue = Catalogue.find([str(path)])
        return catalogue.source(catalogue.get("model", "m"))

    before = source()
    write("beside.py", "x = 2")
    assert source() != before


def test_there_is_no_source_of_what_does_not_exist():
    assert package_hash("no_such_module_anywhere") == ""

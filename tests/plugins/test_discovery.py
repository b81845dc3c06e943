import importlib.metadata
import itertools
import json
import os
import textwrap
import types
from types import SimpleNamespace

import pytest

import genbench
from genbench.errors import GenbenchError, UsageError
from genbench.model import Model
from genbench.plugins import discovery
from genbench.plugins.catalogue import Catalogue, import_target
from genbench.plugins.discovery import discover, entries_of

FAMILIES = {"ae", "vae", "ebm", "flow", "gan", "datasets", "ray"}


def by_name(found):
    return {plugin.name: plugin for plugin in found.plugins}


@pytest.fixture
def write(tmp_path):
    def write(name, body):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(body))
        return str(path)

    return write


MODEL = """
    import genbench

    GENBENCH_API = 1


    @genbench.hookimpl
    def genbench_models():
        yield genbench.ModelEntry("{name}", "{file}:Mine", family="mine", summary="a model")
"""


def test_the_built_in_families_are_found_through_entry_points_like_anyone_else_s():
    points = importlib.metadata.entry_points(group="genbench")
    assert {point.name for point in points if point.dist.name == "genbench"} == FAMILIES
    found = by_name(discover())
    for family in FAMILIES:
        assert (found[family].status, found[family].reason) == ("active", "")
        assert found[family].entries


def test_a_local_file_offers_its_models(write):
    path = write("my_model", MODEL.format(name="mine", file="my_model"))
    catalogue = Catalogue.find([path])
    offer = catalogue.get("model", "mine")
    assert (offer.plugin.name, offer.plugin.source, offer.plugin.status) == ("my_model", path, "active")
    assert len(offer.plugin.version) == 12


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(3)", "exit code 3"),
        ("x = 1", "add GENBENCH_API = 1"),
        ("GENBENCH_API = 99", "written for plugin API 99, this genbench has 1"),
        (
            "import genbench\nGENBENCH_API = 1\n@genbench.hookimpl\ndef genbench_modles(): return []",
            "unknown hook 'genbench_modles': did you mean genbench_models",
        ),
        (
            "import genbench\nGENBENCH_API = 1\n@genbench.hookimpl\ndef genbench_models(nonsense): return []",
            "nonsense",
        ),
        (
            "import genbench\nGENBENCH_API = 1\n@genbench.hookimpl\ndef genbench_models(): return [1]",
            "genbench_models yields 1, not a ModelEntry",
        ),
        (
            "import genbench\nGENBENCH_API = 1\n@genbench.hookimpl\ndef genbench_models():\n"
            "    yield genbench.ModelEntry('m', 'no_target', family='f', summary='s')",
            "the target of 'm' is 'no_target', not 'module:Class'",
        ),
    ],
)
def test_a_broken_plugin_is_listed_with_its_reason_and_stops_nothing_else(write, body, reason):
    found = by_name(discover([write("broken_plugin", body)]))
    assert found["broken_plugin"].status == "broken"
    assert reason in found["broken_plugin"].reason
    assert "\n" not in found["broken_plugin"].reason
    assert found["ae"].status == "active"


def test_a_name_claimed_twice_is_an_error_where_it_is_asked_for_and_nowhere_else(write):
    path = write(
        "rival",
        """
        import genbench

        GENBENCH_API = 1


        @genbench.hookimpl
        def genbench_models():
            for name in ("pca", "mine"):
                yield genbench.ModelEntry(name, "rival:Mine", family="mine", summary="a model")


        @genbench.hookimpl
        def genbench_datasets():
            yield genbench.DatasetEntry("digits", "rival:Mine", summary="data")


        @genbench.hookimpl
        def genbench_metrics():
            yield genbench.MetricEntry("fid", "rival:Mine", summary="a metric")


        @genbench.hookimpl
        def genbench_executors():
            yield genbench.ExecutorEntry("ray", "rival:Mine", summary="an executor")


        @genbench.hookimpl
        def genbench_selftests():
            yield genbench.SelftestEntry("rbm", "rival:Mine", summary="a proof")
        """,
    )
    catalogue = Catalogue.find([path])
    assert catalogue.get("model", "mine").plugin.name == catalogue.get("model", "rival:mine").plugin.name == "rival"
    assert catalogue.get("model", "vae").plugin.name == "vae"
    version = importlib.metadata.version("genbench")
    with pytest.raises(UsageError) as error:
        catalogue.get("model", "pca")
    assert str(error.value).startswith(f"model 'pca' is claimed by ae (genbench {version}) and rival ({path} ")
    assert str(error.value).endswith("ask for ae:pca or rival:pca, or rename one")
    for what, name in (("dataset", "digits"), ("metric", "fid"), ("executor", "ray"), ("selftest", "rbm")):
        with pytest.raises(UsageError, match=f"{what} '{name}' is claimed by"):
            catalogue.get(what, name)
        assert catalogue.get(what, f"rival:{name}").plugin.name == "rival"
    assert {"ae:pca", "rival:pca", "mine"} <= set(catalogue.models)
    assert "pca" not in catalogue.models
    assert Catalogue.find([path, "no:ae"]).get("model", "pca").plugin.name == "rival"


ENTRY = {"name": "m", "target": "m:M", "family": "f", "summary": "s"}


@pytest.mark.parametrize(
    ("yielded", "reason"),
    [
        (lambda: None, "genbench_models returns None, not entries"),
        (lambda: "ab", "genbench_models yields 'a', not a ModelEntry"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"summary": 3})], "genbench_models: summary of 'm' is 3, not text"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"target": None})], "target of 'm' is None, not text"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"name": ["m"]})], "name of \\['m'\\] is \\['m'\\], not text"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"name": "a model"})], "the name 'a model' can't be used"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"name": "m[x]"})], "can't be used"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"name": ""})], "can't be used"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"name": "-m"})], "can't be used"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"name": "m" * 101})], "can't be used"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"name": "m\x1b"})], "can't be used"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"target": ":M"})], "the target of 'm' is ':M', not 'module:Class'"),
        (lambda: [genbench.ModelEntry(**ENTRY | {"family": "reference"})], "the family of 'm' is 'reference'"),
        (lambda: [genbench.ModelEntry(**ENTRY)] * 2, "genbench_models yields two entries of the name 'm'"),
        (lambda: itertools.cycle("a"), "genbench_models yields 'a'"),
        (lambda: (genbench.ModelEntry(**ENTRY | {"name": f"m{n}"}) for n in itertools.count()), "more than 10000"),
    ],
)
def test_hooks_that_yield_something_else_are_named_with_what_is_wrong(yielded, reason):
    with pytest.raises(TypeError, match=reason):
        entries_of(SimpleNamespace(genbench_models=yielded))


def test_texts_of_entries_are_lines_that_steer_no_terminal():
    entry = genbench.ModelEntry("m", "m:M", "my\nfamily", "one\n\ttwo \x1b[31mred\u202e", "A.\rB.")
    (found,) = entries_of(SimpleNamespace(genbench_models=lambda: [entry]))
    assert (found.family, found.summary, found.reference) == ("my family", "one two [31mred", "A. B.")


def test_a_plugin_can_be_blocked_by_option_and_by_environment(monkeypatch):
    found = by_name(discover(["no:ae"]))
    assert (found["ae"].status, found["ae"].entries) == ("blocked", ())
    monkeypatch.setenv("GENBENCH_BLOCK", "vae, gan")
    found = by_name(discover())
    assert [name for name, plugin in found.items() if plugin.status == "blocked"] == ["gan", "vae"]
    with pytest.raises(UsageError, match="unknown plugin to block 'aee': did you mean ae"):
        discover(["no:aee"])


def test_what_is_no_file_is_an_error_that_says_so(tmp_path):
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "notes.txt").write_text("GENBENCH_API = 1")
    for name, reason in (
        ("absent.py", "no such Python file"),
        ("notes.txt", "no such Python file"),
        ("folder.py", "a folder, not a Python file"),
        ("pipe.py", "no plain file, not a Python file"),
    ):
        with pytest.raises(UsageError, match=rf"-p .*{name}: {reason}"):
            discover([str(tmp_path / name)])


def test_an_unknown_name_mentions_installed_plugins_that_are_broken(monkeypatch):
    def load():
        raise ImportError("no spam")

    monkeypatch.setattr(
        discovery.importlib.metadata, "entry_points", lambda group: [SimpleNamespace(name="spam", dist=None, load=load)]
    )
    catalogue = Catalogue.find()
    with pytest.raises(UsageError, match=r"unknown model 'mine'.* \(broken plugin spam: ImportError: no spam\)$"):
        catalogue.get("model", "mine")
    assert catalogue.get("metric", "fid").plugin.name == "metrics"


def test_lifecycle_hooks_of_a_local_file_are_registered_in_this_process(write):
    path = write(
        "my_logger",
        """
        import genbench

        GENBENCH_API = 1
        seen = []


        @genbench.hookimpl
        def genbench_run_start(spec):
            seen.append(spec)
        """,
    )
    found = discover([path])
    found.manager.hook.genbench_run_start(spec="a run")
    assert found.manager.get_plugin("my_logger").module.seen == ["a run"]


def test_a_hook_wrapper_is_refused(write):
    path = write(
        "wrapping",
        """
        import genbench

        GENBENCH_API = 1


        @genbench.hookimpl(wrapper=True)
        def genbench_run_start(spec):
            yield
        """,
    )
    found = by_name(discover([path]))["wrapping"]
    assert (found.status, found.reason) == (
        "broken",
        "TypeError: genbench_run_start is a hook wrapper, and hooks are called one by one",
    )


def test_a_target_must_be_importable_and_of_the_right_kind():
    with pytest.raises(GenbenchError, match="can't import absent:Thing: ModuleNotFoundError"):
        import_target("absent:Thing", object)
    with pytest.raises(GenbenchError, match=r"json:JSONDecoder is no subclass of builtins\.int"):
        import_target("json:JSONDecoder", int)


def test_a_config_must_be_one(monkeypatch):
    class Odd(Model):
        Config = dict

    monkeypatch.setattr(json, "Odd", Odd, raising=False)
    with pytest.raises(
        GenbenchError,
        match=r"json:Odd: its Config is .*; it should be a subclass of genbench\.model\.base\.ModelConfig",
    ):
        import_target("json:Odd", Model)


def test_every_hook_has_a_docstring_and_stands_in_the_readme(readme):
    hooks = [name for name in vars(discovery.hookspecs) if name.startswith("genbench_")]
    assert len(hooks) == 8
    for name in hooks:
        assert getattr(discovery.hookspecs, name).__doc__
        assert f"`{name}" in readme


def test_entries_and_hookimpl_are_what_genbench_exports():
    assert isinstance(genbench.hookimpl, types.FunctionType) or callable(genbench.hookimpl)
    assert {
        "Check",
        "ModelEntry",
        "DatasetEntry",
        "ExecutorEntry",
        "MetricEntry",
        "SelftestEntry",
        "hookimpl",
        "run",
    } == set(genbench.__all__)

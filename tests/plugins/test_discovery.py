import importlib.metadata
import textwrap
import types

import pytest

import genbench
from genbench.errors import GenbenchError, UsageError
from genbench.plugins import discovery
from genbench.plugins.catalogue import Catalogue, import_target
from genbench.plugins.discovery import discover

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


def test_a_file_named_like_another_module_is_refused(write):
    found = by_name(discover([write("json", "GENBENCH_API = 1")]))
    assert "another module named 'json': rename the file" in found["json"].reason


def test_a_name_claimed_twice_is_an_error_naming_both_sides(write):
    path = write("rival", MODEL.format(name="pca", file="rival"))
    catalogue = Catalogue.find([path])
    with pytest.raises(UsageError) as error:
        catalogue.get("model", "pca")
    version = importlib.metadata.version("genbench")
    assert f"two plugins offer 'pca': ae (genbench {version}) and rival ({path} " in str(error.value)
    assert Catalogue.find([path, "no:ae"]).get("model", "pca").plugin.name == "rival"


def test_a_plugin_can_be_blocked_by_option_and_by_environment(monkeypatch):
    found = by_name(discover(["no:ae"]))
    assert (found["ae"].status, found["ae"].entries) == ("blocked", ())
    monkeypatch.setenv("GENBENCH_BLOCK", "vae, gan")
    found = by_name(discover())
    assert [name for name, plugin in found.items() if plugin.status == "blocked"] == ["gan", "vae"]
    with pytest.raises(UsageError, match="unknown plugin to block 'aee': did you mean ae"):
        discover(["no:aee"])


def test_a_missing_file_is_an_error():
    with pytest.raises(UsageError, match=r"-p absent\.py: no such Python file"):
        discover(["absent.py"])


def test_an_unknown_name_mentions_broken_plugins(write):
    catalogue = Catalogue.find([write("broken_plugin", "1/0")])
    with pytest.raises(UsageError, match=r"unknown model 'mine'.*broken plugins: broken_plugin; see genbench plugins"):
        catalogue.get("model", "mine")


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
    assert found.manager.get_plugin("my_logger").seen == ["a run"]


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
        "BrokenFile: TypeError: genbench_run_start is a hook wrapper, and hooks are called one by one",
    )


def test_a_target_must_be_importable_and_of_the_right_kind():
    with pytest.raises(GenbenchError, match="can't import absent:Thing: ModuleNotFoundError"):
        import_target("absent:Thing", object)
    with pytest.raises(GenbenchError, match=r"json:JSONDecoder is no subclass of builtins\.int"):
        import_target("json:JSONDecoder", int)


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

"""The packages of the harness follow the way a comparison travels: each imports only from those before it."""

import ast
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "harness" / "genbench"
ORDER = ["data", "model", "plugins", "plan", "metrics", "selftest", "results", "runner", "report", "cli"]
# planning asks metric classes for their options and protocol, in a worker process; discovery registers the built-in
# metrics and executor like plugins, and hook specifications name the types of what they are given
ALLOWED = {("plan", "metrics"), ("plugins", "metrics"), ("plugins", "runner")}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_from_those_before_it(package):
    allowed = set(ORDER[: ORDER.index(package) + 1]) | {after for before, after in ALLOWED if before == package}
    for path in sorted((HARNESS / package).rglob("*.py")):
        for module in imports(path):
            parts = module.split(".")
            if parts[0] == "genbench" and len(parts) > 1 and parts[1] in ORDER and not typing_only(path, module):
                assert parts[1] in allowed, f"{path.relative_to(HARNESS)} imports {module}"


def typing_only(path, module):
    """Whether every import of `module` in this file is under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == module]
    return bool(found) and all(id(node) in guarded for node in found)


PLUGINS = Path(__file__).parents[1] / "plugins"
PUBLIC = {"genbench", "genbench.errors", "genbench.model", "genbench.runner.executor", "genbench.runner.remote"}


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_a_built_in_model_imports_what_any_plugin_may(path):
    for module in imports(path):
        if module.split(".")[0] == "genbench" and not typing_only(path, module):  # hooks name what they are given
            assert module in PUBLIC, f"{path.name} imports {module}"

"""Plugin files that users name with `-p`: what they may be called, what they may import, how they may fail."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from genbench.cli import main
from genbench.errors import UsageError
from genbench.plugins import local
from genbench.plugins.catalogue import Catalogue, import_target
from genbench.plugins.local import import_file, module_name

MODEL = """
    import genbench

    GENBENCH_API = 1
    VALUE = {value!r}


    @genbench.hookimpl
    def genbench_models():
        yield genbench.ModelEntry({name!r}, {stem!r} ":M", family="mine", summary="a model")


    class M:
        value = VALUE
"""


@pytest.fixture(autouse=True)
def imports_of_its_own(monkeypatch):
    """Whatever a test imports, the next one doesn't find."""
    monkeypatch.setattr(local, "_folders", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    def write(file, /, body=MODEL, **values):
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(body).format(stem=path.stem, **values) if values else textwrap.dedent(body))
        return path

    return write


def test_files_of_one_name_and_of_a_modules_name_load_beside_each_other(write):
    names = {
        "one/model.py": "m-one",
        "two/model.py": "m-two",
        "json.py": "m-json",
        "torch.py": "m-torch",
        "ae.py": "m-ae",
    }
    files = [write(path, name=name, value=name) for path, name in names.items()]
    catalogue = Catalogue.find(list(map(str, files)))
    for file in files:
        import_file(file)
    for name in names.values():
        assert import_target(catalogue.get("model", name).entry.target, object).value == name
    plugins = [catalogue.get("model", name).plugin.name for name in names.values()]
    assert plugins == ["model", "two/model", "json", "torch", f"{files[-1].parent.name}/ae"]
    import json as standard

    assert standard.dumps([]) == "[]"


def test_a_file_named_twice_is_loaded_once(write):
    path = write("mine.py", name="mine", value=1)
    assert [offer.plugin.name for offer in Catalogue.find([str(path)] * 2).models.values()].count("mine") == 1


def test_the_name_of_a_files_module_does_not_depend_on_its_folder(write, tmp_path):
    path = write("one/mine.py", name="mine", value=1)
    moved = tmp_path / "elsewhere" / "mine.py"
    moved.parent.mkdir()
    shutil.copy(path, moved)
    first, second = (Catalogue.find([str(each)]).get("model", "mine") for each in (path, moved))
    assert first.entry == second.entry
    assert first.plugin.version == second.plugin.version
    moved.write_text(moved.read_text() + "\n")
    assert module_name(moved) != module_name(path)


def test_files_import_what_lies_beside_them_each_its_own(write):
    for folder in ("one", "two"):
        write(f"{folder}/helper.py", f"WHERE = {folder!r}")
        write(f"{folder}/plugin.py", f"import helper\nWHERE = helper.WHERE  # {folder}")
    for folder in ("one", "two"):
        assert (
            folder
            == import_file(write(f"{folder}/plugin.py", f"import helper\nWHERE = helper.WHERE  # {folder}")).WHERE
        )
    user = write("two/user.py", "import plugin\nWHERE = plugin.WHERE")
    assert import_file(user).WHERE == "two"


def test_a_helper_that_is_edited_makes_another_version(write):
    path = write(
        "mine.py", "import helper, json, torch\n" + textwrap.dedent(MODEL).format(name="m", stem="mine", value=1)
    )
    helper = write("helper.py", "x = 1")
    versions = []
    for text in ("x = 1", "x = 2", "x = 1"):
        helper.write_text(text)
        versions.append(Catalogue.find([str(path)]).get("model", "m").plugin.version)
    assert versions[0] == versions[2]
    assert versions[0] != versions[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"import a_module_i_forgot", "ModuleNotFoundError: No module named 'a_module_i_forgot'"),
        (b"def broken(:", "SyntaxError: invalid syntax"),
        (b"x = '\xff'", "SyntaxError: (unicode error) 'utf-8' codec can't decode byte 0xff"),
        (b"\0", "null bytes"),
        (b"raise SystemExit(3)", "SystemExit: 3"),
        (b"raise KeyboardInterrupt", "KeyboardInterrupt: no message"),
        (b"import os; os.kill(os.getpid(), 9)", "importing it ended the process (SIGKILL)"),
        (b"import os; os._exit(0)", "importing it ended the process (exit code 0)"),
        (b"x = 1", "it does not say which plugin API it was written for: add GENBENCH_API = 1"),
    ],
)
def test_a_file_that_cant_be_loaded_is_one_line_with_the_reason(content, reason, tmp_path, capsys):
    path = tmp_path / "bad.py"
    path.write_bytes(content)
    with pytest.raises(SystemExit) as end:
        main(["models", "-p", str(path)])
    shown = capsys.readouterr()
    assert (end.value.code, shown.out) == (2, "")
    assert shown.err.startswith(f"genbench: -p {path}: ")
    assert reason in shown.err
    assert shown.err.count("\n") == 1


def test_a_file_that_prints_and_leaves_threads_and_processes_behind_loads_at_once(write, capfd):
    noise = """
    import atexit, subprocess, sys, threading, time
    print("{{}} not JSON")
    print("noise", file=sys.stderr)
    atexit.register(print, "more")
    threading.Thread(target=time.sleep, args=(600,)).start()
    subprocess.Popen(["sleep", "613"])
    """
    path = write("noisy.py", noise + MODEL, name="mine", value=1)
    assert Catalogue.find([str(path)]).get("model", "mine").plugin.name == "noisy"
    assert capfd.readouterr() == ("", "")
    commands = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if os.access(file, os.R_OK)]
    assert b"sleep\x00613\x00" not in commands


def test_a_file_that_hangs_is_given_up(write, monkeypatch):
    monkeypatch.setattr(local, "LIMIT", 1.0)
    with pytest.raises(UsageError, match=r"hanging\.py: importing it took longer than 1 s"):
        Catalogue.find([str(write("hanging.py", "while True: pass"))])


def test_ctrl_c_ends_the_wait_for_a_file_and_the_file(write):
    path = write("hanging.py", f"open({str(write('begun', ''))!r}, 'w').write('x')\nwhile True: pass")
    command = [sys.executable, "-c", "from genbench.cli import main; main()", "models", "-p", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (path.parent / "begun").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(2)
    assert process.communicate(timeout=30)[1].strip() == "genbench: interrupted"
    assert process.returncode == 130
    assert not any(str(path).encode() in (f.read_bytes() if os.access(f, os.R_OK) else b"") for f in _command_lines())


def _command_lines():
    return [file for file in Path("/proc").glob("[0-9]*/cmdline") if file.parent.name != str(os.getpid())]

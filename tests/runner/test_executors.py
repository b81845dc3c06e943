"""Executors as plugins: how they are asked for, what they are given, and what comes back."""

import errno
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from campaigns import numbers, records

import genbench
from genbench.cli import main
from genbench.errors import GenbenchError, UsageError
from genbench.plugins.catalogue import Catalogue
from genbench.results.store import RECORD, Store
from genbench.runner.draft import RESUME
from genbench.runner.executor import Job, Limits
from genbench.runner.executors import make_executor
from genbench.runner.local import Local
from genbench.runner.remote import Order, publish
from genbench.runner.slots import Slot

FOLDER = Path(__file__).parent
FAKES, THREADED = str(FOLDER / "fakes.py"), str(FOLDER / "threaded.py")


def run(models, out, *more):
    options = ["--metrics", "reconstruction", "--device", "cpu", "-p", FAKES, "--budget", "20steps", "--jobs", "2"]
    with pytest.raises(SystemExit) as end:
        main(["run", "--models", models, "--out", str(out), *options, *more])
    return end.value.code


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """The output folder of a campaign that a third party's executor has carried out, and its exit code."""
    out = tmp_path_factory.mktemp("elsewhere")
    return out, run("fine,raises,exits", out, "-p", THREADED, "--executor", "threaded")


def test_the_executors_are_in_the_catalogue():
    executors = Catalogue.find([THREADED]).executors
    assert list(executors) == ["local", "ray", "threaded"]
    assert executors["threaded"].plugin.source == THREADED


def test_the_local_one_is_the_default():
    assert isinstance(make_executor(Catalogue.find(), "local", None), Local)


def test_an_unknown_one_is_a_usage_error_with_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="unknown executor 'locl': did you mean local"):
        genbench.run("pca", out=tmp_path / "none", executor="locl")
    assert not (tmp_path / "none").exists()


def test_the_local_one_takes_no_address(tmp_path, capsys):
    assert run("fine", tmp_path, "--address", "auto") == 2
    assert "--executor local takes no --address" in capsys.readouterr().err


def test_an_address_that_an_executor_refuses_is_its_own_error(tmp_path, capsys):
    assert run("fine", tmp_path, "-p", THREADED, "--executor", "threaded", "--address", "nowhere") == 2
    assert "there is nothing at nowhere" in capsys.readouterr().err


def test_without_ray_one_is_told_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "genbench_ray.executor", raising=False)
    assert run("fine", tmp_path, "--executor", "ray") == 2
    assert capsys.readouterr().err == "genbench: --executor ray needs: pip install 'genbench[ray]'\n"


def test_ray_is_imported_only_when_asked_for():
    code = (
        "import sys; from genbench.plugins.catalogue import Catalogue; from genbench.runner.executors import "
        "make_executor as make; c = Catalogue.find(); make(c, 'local', None); print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_target_that_is_no_executor_is_refused(tmp_path):
    path = tmp_path / "strange.py"
    path.write_text(
        "import genbench\nGENBENCH_API = 1\n@genbench.hookimpl\ndef genbench_executors():\n"
        "    yield genbench.ExecutorEntry('strange', 'json:JSONDecoder', summary='none')\n"
    )
    with pytest.raises(GenbenchError, match=r"no subclass of genbench\.runner\.executor\.Executor"):
        make_executor(Catalogue.find([str(path)]), "strange", None)


@pytest.mark.two_cores
def test_a_third_party_executor_gives_the_records_that_the_local_one_gives(elsewhere, tmp_path):
    out, code = elsewhere
    assert code == 3
    assert run("fine,raises,exits", tmp_path, "--executor", "local") == 3
    there, here = records(out), records(tmp_path)
    assert there.keys() == here.keys() == {"fine", "raises", "exits"}
    for label, record in there.items():
        assert (record.key, record.status) == (here[label].key, here[label].status)
        assert record.artifacts == here[label].artifacts
        assert numbers(record) == numbers(here[label])
    assert there["fine"].metrics
    assert there["fine"].provenance["threads"] == 1
    assert there["exits"].error.exit_code == 7
    assert "ValueError" in there["raises"].error.traceback


def test_the_files_of_a_run_come_back_with_its_record(elsewhere):
    out, _ = elsewhere
    record = records(out)["fine"]
    left = {path.name for path in (out / "runs" / record.key).iterdir()}
    assert left == {RECORD, *record.artifacts.values()}
    assert not (out / "work" / record.key).exists()


def test_an_executor_starts_only_what_is_not_finished_and_is_closed(elsewhere, capsys):
    out, _ = elsewhere
    module = sys.modules["threaded"]
    module.ORDERS.clear()
    module.CLOSED.clear()
    assert run("fine,raises", out, "-p", THREADED, "--executor", "threaded") == 3
    assert module.ORDERS == ["raises"]
    assert module.CLOSED == [None]
    assert "fine on digits, seed 0: reused" in capsys.readouterr().err


def test_an_executor_is_closed_when_planning_fails(elsewhere, tmp_path):
    module = sys.modules["threaded"]
    module.CLOSED.clear()
    assert run("nosuch", tmp_path, "-p", THREADED, "--executor", "threaded") == 2
    assert module.CLOSED == [None]


def test_a_run_that_is_lost_is_a_record_that_says_so(tmp_path):
    assert run("fine", tmp_path, "-p", THREADED, "--executor", "threaded", "--address", "lossy") == 4
    record = records(tmp_path)["fine"]
    assert (record.status, record.error.type, record.error.message) == ("killed", "Lost", "the cable was cut")


def test_what_comes_back_can_not_leave_the_run_s_folder(tmp_path):
    assert run("fine", tmp_path / "out", "-p", THREADED, "--executor", "threaded", "--address", "forger") == 4
    assert "'../../../escaped'" in records(tmp_path / "out")["fine"].error.message
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize("name", ["", ".", "..", "/etc/x", "a/b", "a\0b"])
def test_only_plain_file_names_are_published(name, elsewhere, tmp_path):
    job, files = a_job(elsewhere[0], tmp_path)
    with pytest.raises(GenbenchError, match="a file of the name"):
        publish(job, files | {name: b"x"})
    assert list(tmp_path.iterdir()) == []


def test_only_the_run_s_own_valid_record_is_published(elsewhere, tmp_path):
    job, files = a_job(elsewhere[0], tmp_path)
    other = files[RECORD].replace(job.spec.key.encode(), b"0123456789abcdef")
    for bad in (files | {RECORD: other}, files | {RECORD: files[RECORD][:-20]}, files | {RECORD: b"[]"}):
        with pytest.raises(GenbenchError, match="a record that is "):
            publish(job, bad)
        assert records_or_none(tmp_path) == []
    assert publish(job, files) == records(elsewhere[0])["fine"]


def test_a_disk_that_is_full_costs_no_state_to_go_on_from(elsewhere, tmp_path, monkeypatch):
    job, files = a_job(elsewhere[0], tmp_path)
    job.folder.mkdir(parents=True)
    (job.folder / RESUME).touch()

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            publish(job, files)
    assert (job.folder / RESUME).exists()
    publish(job, files)
    assert {path.name for path in tmp_path.glob("runs/*/*")} == set(files)


def records_or_none(out):
    return list(out.glob("runs/*/*"))


def a_job(finished, out):
    """A job with the key of the finished run `fine`, and the files of that run."""

    class Spec:
        key = records(finished)["fine"].key

    files = {path.name: path.read_bytes() for path in (finished / "runs" / Spec.key).iterdir()}
    return Job(Spec, Slot(), Store(out), [], Limits(), lock=None), files


def test_local_files_of_one_name_travel_beside_each_other(tmp_path):
    files = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "model.py")
        files[-1].write_text(folder)
    spec = SimpleNamespace(files=tuple(map(str, files)))
    slot = SimpleNamespace(threads=1, environment={})
    order = Order.of(SimpleNamespace(spec=spec, command=[], limits=Limits(), folder=tmp_path, slot=slot))
    assert order.plugins == {"0/model.py": b"one", "1/model.py": b"two"}
    assert order.files == tuple(order.plugins)


def test_what_a_local_file_imports_travels_with_it(tmp_path):
    (tmp_path / "model.py").write_text("import helper")
    (tmp_path / "helper.py").write_text("x = 1")
    spec = SimpleNamespace(files=(str(tmp_path / "model.py"),))
    slot = SimpleNamespace(threads=1, environment={})
    order = Order.of(SimpleNamespace(spec=spec, command=[], limits=Limits(), folder=tmp_path, slot=slot))
    assert order.plugins == {"0/model.py": b"import helper", "0/helper.py": b"x = 1"}
    assert order.files == ("0/model.py",)

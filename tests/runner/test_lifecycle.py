"""Lifecycle hooks: one plugin's fault keeps nothing from another's."""

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import pluggy
import pytest
from campaigns import records, run

import genbench
from genbench.cli import main
from genbench.plugins import hookspecs
from genbench.results.schema import CurvePoint
from genbench.runner import lifecycle as lifecycle_module
from genbench.runner.display import Lines
from genbench.runner.lifecycle import Lifecycle


class Noting:
    def __init__(self):
        self.told = []

    @genbench.hookimpl
    def genbench_run_start(self, spec):
        self.told.append(spec)

    @genbench.hookimpl
    def genbench_progress(self, event):
        self.told.append(event)

    @genbench.hookimpl
    def genbench_run_end(self):
        self.told.append("end")


class Failing:
    @genbench.hookimpl
    def genbench_run_start(self):
        raise ValueError("no start")

    @genbench.hookimpl
    def genbench_progress(self, spec, event):
        raise ValueError(f"no progress of {spec}")


@pytest.fixture
def manager():
    manager = pluggy.PluginManager("genbench")
    manager.add_hookspecs(hookspecs)
    return manager


@pytest.mark.filterwarnings("default")
def test_a_hook_that_fails_keeps_the_event_from_no_other_and_is_named_once(manager):
    first, last = Noting(), Noting()
    for name, plugin in (("first", first), ("failing", Failing()), ("last", last)):
        manager.register(plugin, name)
    lifecycle = Lifecycle(manager.hook)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for spec in ("a", "b"):
            lifecycle.tell("genbench_run_start", spec=spec)
            for event in (1, 2):
                lifecycle.tell("genbench_progress", spec=spec, event=event)
            lifecycle.tell("genbench_run_end", record=None)
    assert first.told == last.told == ["a", 1, 2, "end", "b", 1, 2, "end"]
    assert [str(warning.message) for warning in said] == [
        "plugin 'failing': genbench_run_start failed: ValueError: no start",
        "plugin 'failing': genbench_progress failed: ValueError: no progress of a",
    ]


class Astray:
    """Does what no hook should."""

    def __init__(self, folder):
        self.folder = folder

    @genbench.hookimpl
    def genbench_run_start(self):
        sys.exit(0)

    @genbench.hookimpl
    def genbench_progress(self):
        os.chdir(self.folder)

    @genbench.hookimpl
    def genbench_run_end(self):
        raise KeyboardInterrupt


@pytest.mark.filterwarnings("default")
def test_a_hook_that_exits_or_goes_elsewhere_is_named_once_and_put_right(manager, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    noting = Noting()
    manager.register(noting, "noting")
    manager.register(Astray(tmp_path / "elsewhere"), "astray")
    lifecycle = Lifecycle(manager.hook)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            lifecycle.tell("genbench_run_start", spec="a")
            lifecycle.tell("genbench_progress", spec="a", event=1)
            lifecycle.tell("genbench_run_end", record=None)
    assert noting.told == ["a", 1, "end"] * 2
    assert [str(warning.message) for warning in said] == [
        "plugin 'astray': genbench_run_start failed: SystemExit: 0",
        "plugin 'astray': genbench_progress changed the working folder",
        "plugin 'astray': genbench_run_end failed: NotTheUser: KeyboardInterrupt without Ctrl-C",
    ]
    assert Path.cwd() == tmp_path


def test_a_hook_that_takes_long_is_named(manager, monkeypatch):
    monkeypatch.setattr(lifecycle_module, "SLOW", -1.0)
    manager.register(Noting(), "noting")
    with pytest.warns(UserWarning, match=r"^plugin 'noting': genbench_run_end took 0 s$"):
        Lifecycle(manager.hook).tell("genbench_run_end", record=None)


def test_ctrl_c_in_a_hook_ends_the_campaign(manager):
    class Pressed:
        @genbench.hookimpl
        def genbench_run_end(self):
            os.kill(os.getpid(), signal.SIGINT)

    manager.register(Pressed(), "pressed")
    with pytest.raises(KeyboardInterrupt):
        Lifecycle(manager.hook).tell("genbench_run_end", record=None)


ASTRAY = """
import os, sys
import genbench
GENBENCH_API = 1
os.chdir("/")
@genbench.hookimpl
def genbench_run_start(spec):
    os.chdir("/")
    sys.exit(0)
@genbench.hookimpl
def genbench_run_end(record):
    sys.stdout.close()
    raise BaseException("gone")
"""


@pytest.mark.filterwarnings("default:plugin 'astray'")
def test_a_campaign_ends_as_its_runs_do_and_where_it_began(tmp_path, monkeypatch):
    """Hooks that exit and go elsewhere, a display that raises, and a relative output folder."""
    (tmp_path / "astray.py").write_text(ASTRAY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Lines, "event", lambda *_: 1 / 0)
    with pytest.warns(UserWarning, match=r"^plugin 'astray': genbench_run_start failed: SystemExit: 0$"):
        assert run("fine,raises", "out", "-p", str(tmp_path / "astray.py")) == 3
    assert {label: record.status for label, record in records(tmp_path / "out").items()} == {
        "fine": "ok",
        "raises": "failed",
    }
    assert (tmp_path / "out" / "report.html").exists()


FOLDER = Path(__file__).parent
WATCHER = """
import json, os
import genbench
GENBENCH_API = 1
@genbench.hookimpl
def genbench_progress(event):
    with open(os.environ["GENBENCH_TEST"], "a") as file:
        print(json.dumps(event), file=file)
"""


@pytest.mark.parametrize("executor", ["local", "threaded"])
def test_points_of_the_curve_are_reported_as_they_are_measured(executor, tmp_path, monkeypatch):
    watcher, said = tmp_path / f"watcher_{executor}.py", tmp_path / "said"
    watcher.write_text(WATCHER)
    monkeypatch.setenv("GENBENCH_TEST", str(said))
    files = [word for path in (FOLDER / "fakes.py", FOLDER / "threaded.py", watcher) for word in ("-p", str(path))]
    options = [
        "--budget",
        "20steps",
        "--metrics",
        "reconstruction",
        "--device",
        "cpu",
        "--jobs",
        "1",
        "--executor",
        executor,
    ]
    with pytest.raises(SystemExit) as end:
        main(["run", "-m", "fine", "-o", str(tmp_path / "out"), *options, *files])
    assert end.value.code == 0
    events = [json.loads(line) for line in said.read_text().splitlines()]
    found = records(tmp_path / "out")["fine"]
    points = [CurvePoint(**event["point"]) for event in events if event["phase"] == "curve"]
    assert points == found.curve
    assert points[-1].metrics.keys() == {"reconstruction_mse"}
    assert all(event["timing"]["cpu_seconds"] > 0 for event in events if event["phase"] == "curve")
    phases = [event["phase"] for event in events]
    assert phases.index("curve") < phases.index("evaluation")

"""Lifecycle hooks: one plugin's fault keeps nothing from another's."""

import json
import warnings
from pathlib import Path

import pluggy
import pytest
from campaigns import records

import genbench
from genbench.cli import main
from genbench.plugins import hookspecs
from genbench.results.schema import CurvePoint
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

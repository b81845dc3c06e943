"""How trackers are asked for, made and closed."""

import importlib.metadata
import subprocess
import sys
from email.message import Message

import pytest

import genbench
from genbench.errors import GenbenchError, UsageError
from genbench.plugins import trackers
from genbench.plugins.discovery import discover
from genbench.plugins.trackers import find_trackers, tracking


class Noting:
    """A tracker that notes what it is told."""

    GENBENCH_API = 1

    def __init__(self, out):
        self.told = out / "told.txt"

    @genbench.hookimpl
    def genbench_run_start(self, spec):
        self.note(f"start {spec}")

    def close(self):
        self.note("close")

    def note(self, text):
        with self.told.open("a") as file:
            print(text, file=file)


class Stubborn(Noting):
    def close(self):
        raise OSError("the disk is gone")


class Refusing(Noting):
    def __init__(self, out):
        raise OSError("no\nserver")


class OfTomorrow(Noting):
    GENBENCH_API = 2


class Misspelt(Noting):
    def genbench_run_stopped(self, record):
        """No such hook."""


class Distribution:
    """Of a third party, with one extra."""

    name = "their-package"
    metadata = Message()


Distribution.metadata["Provides-Extra"] = "needy"


@pytest.fixture
def offered(monkeypatch, tmp_path):
    """What a third party offers."""
    (tmp_path / "needy_tracker.py").write_text("import a_module_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    targets = {
        "noting": f"{__name__}:Noting",
        "tomorrow": f"{__name__}:OfTomorrow",
        "misspelt": f"{__name__}:Misspelt",
        "needy": "needy_tracker:Tracker",
        "incomplete": "needy_tracker:Tracker",
    }
    points = [importlib.metadata.EntryPoint(name, target, trackers.GROUP) for name, target in targets.items()]
    found = [point._for(Distribution) for point in points]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found if group == trackers.GROUP else [])


def test_trackers_are_found_by_name(offered):
    assert find_trackers("noting") == find_trackers([" noting"]) == {"noting": Noting}
    assert find_trackers(()) == {}


def test_an_unknown_tracker_is_a_usage_error_with_the_nearest_name(offered):
    with pytest.raises(UsageError, match=r"^unknown tracker 'notin': did you mean noting\?$"):
        find_trackers("noting,notin")


def test_one_whose_extra_is_not_installed_says_what_to_install(offered):
    with pytest.raises(UsageError, match=r"^--track needy needs: pip install 'their-package\[needy\]'$"):
        find_trackers("needy")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("incomplete", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("tomorrow", "TypeError: it was written for plugin API 2, this genbench has 1"),
        ("misspelt", "TypeError: unknown hook 'genbench_run_stopped': did you mean genbench_run_"),
    ],
)
def test_one_that_is_broken_says_why(offered, name, reason):
    with pytest.raises(GenbenchError, match=f"^--track {name}: {reason}"):
        find_trackers(name)


def test_hooks_are_called_while_tracking_lasts(tmp_path):
    manager = discover().manager
    with tracking(manager, {"noting": Noting}, tmp_path):
        manager.hook.genbench_run_start(spec="this")
    manager.hook.genbench_run_start(spec="that")
    assert (tmp_path / "told.txt").read_text() == "start this\nclose\n"


def test_an_interrupted_campaign_closes_its_trackers_though_one_fails(tmp_path):
    manager = discover().manager

    def campaign():
        with tracking(manager, {"noting": Noting, "stubborn": Stubborn}, tmp_path):
            manager.hook.genbench_run_start(spec="this")
            raise KeyboardInterrupt

    with (
        pytest.warns(UserWarning, match=r"^--track stubborn: OSError: the disk is gone$"),
        pytest.raises(KeyboardInterrupt),
    ):
        campaign()
    assert sorted((tmp_path / "told.txt").read_text().split("\n")) == ["", "close", "start this", "start this"]


def test_a_tracker_that_cannot_start_ends_the_campaign_before_it_begins(tmp_path):
    manager = discover().manager
    with (
        pytest.raises(GenbenchError, match=r"^--track refusing: OSError: no server$"),
        tracking(manager, {"noting": Noting, "refusing": Refusing}, tmp_path),
    ):
        pytest.fail("it began")
    assert (tmp_path / "told.txt").read_text() == "close\n"
    manager.hook.genbench_run_start(spec="this")
    assert (tmp_path / "told.txt").read_text() == "close\n"


def test_the_shipped_trackers_are_offered_and_imported_only_when_asked_for(tmp_path):
    offered = {point.name: point.value for point in importlib.metadata.entry_points(group=trackers.GROUP)}
    assert offered["tensorboard"] == "genbench_trackers.tensorboard:TensorBoard"
    assert offered["mlflow"] == "genbench_trackers.mlflow:MLflow"
    code = (
        "import sys\nfrom genbench.cli import main\n"
        "for arguments in (['--help'], ['run', '--help'], ['models'], ['plugins']):\n"
        "    try:\n        main(arguments)\n    except SystemExit as end:\n        assert not end.code\n"
        "assert not {'tensorboard', 'mlflow', 'genbench_trackers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_shipped_tracker_without_its_extra_says_what_to_install(name, tmp_path):
    code = f"import sys\nsys.modules[{name!r}] = None\nfrom genbench.cli import main\nmain()"
    arguments = ["run", "-m", "pca", "--track", name, "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, f"genbench: --track {name} needs: pip install 'genbench[{name}]'\n")
    assert not (tmp_path / "out").exists()

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from genbench.runner import display as display_module
from genbench.runner.display import Bars, Dispensable, Lines, make_display

SPEC, REUSED, FAILED = (SimpleNamespace(title=f"vae on digits, seed {seed}", key=str(seed)) for seed in range(3))
EVENT = {
    "phase": "training",
    "fraction": 0.5,
    "seconds": 15.0,
    "steps": 1200,
    "samples": 9600,
    "images_per_s": 640.0,
    "scalars": {"loss": 81.25},
}


def record(status="ok", error=None, compilation="compiled", **values):
    metrics = [SimpleNamespace(name=name, value=value) for name, value in values.items()]
    provenance = {"compile": compilation}
    return SimpleNamespace(key="k", status=status, metrics=metrics, error=error, provenance=provenance)


def shown(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    failure = SimpleNamespace(type="ValueError", message="[bold]no")
    with make_display(console, 3) as display:
        display.started(SPEC)
        display.event(SPEC, {"phase": "setup"})
        display.event(SPEC, EVENT)
        display.event(SPEC, {"phase": "evaluation", "metric": "fid"})
        if terminal:
            display.progress.refresh()
        display.ended(SPEC, record(bits_per_dim=1.9, log_likelihood=-80.0, fid=3.0))
        display.reused(REUSED, record())
        display.started(FAILED)
        display.ended(FAILED, record("failed", failure))
    return console.file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_every_run_leaves_a_line(terminal, monkeypatch):
    monkeypatch.setattr(display_module, "LOG_INTERVAL", -1.0)
    text = shown(terminal)
    for line in (
        "[1/3] vae on digits, seed 0: ok, 1.900 bits/dim, 3.000 FID",
        "[2/3] vae on digits, seed 1: reused (k)",
        "[3/3] vae on digits, seed 2: failed: ValueError: [bold]no",
    ):
        assert line in text
    assert ("15.0 s, 1200 steps, loss 81.25, 640 images/s" in text) is not terminal
    assert ("measuring fid" in text) is terminal


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_that_was_not_compiled_although_it_was_asked_for_says_why(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    with make_display(console, 1) as display:
        display.started(SPEC)
        display.ended(SPEC, record(compilation="plain: no compiler\x1b[2J", fid=3.0))
    assert "seed 0: ok, 3.000 FID, trained plain: no compiler[2J" in console.file.getvalue()


def test_a_terminal_has_bars_and_a_file_has_lines():
    assert isinstance(make_display(Console(force_terminal=True), 1), Bars)
    assert isinstance(make_display(Console(file=io.StringIO()), 1), Lines)
    assert "\x1b" not in shown(False)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_long_measurement_says_how_far_it_is(terminal, monkeypatch):
    monkeypatch.setattr(display_module, "LOG_INTERVAL", -1.0)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    with make_display(console, 1) as display:
        display.started(SPEC)
        display.event(SPEC, {"phase": "evaluation", "metric": "ais", "done": 0.37})
        if terminal:
            display.progress.refresh()
    assert "measuring ais, 37%" in console.file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_several_runs_at_a_time_keep_their_places(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    with make_display(console, 2) as display:
        display.started(SPEC)
        display.started(REUSED)
        display.event(SPEC, EVENT)
        display.event(REUSED, EVENT)
        display.ended(SPEC, record())
        display.ended(REUSED, record("timeout"))
        display.waiting("1 of these runs")
    text = console.file.getvalue()
    for line in ("[1/2] vae on digits, seed 0: ok", "[2/2] vae on digits, seed 1: timeout"):
        assert line in text
    assert "waiting for another genbench to finish with 1 of these runs" in text


class Raising:
    """A display that raises in one of its methods."""

    def __init__(self, method):
        self.method = method
        self.called = []

    def __getattribute__(self, name):
        if name in ("method", "called", "do"):
            return object.__getattribute__(self, name)
        return lambda *_: self.do(name)

    def do(self, name):
        self.called.append(name)
        if name == self.method:
            raise OSError("no terminal")


METHODS = {"reused": [SPEC, None], "started": [SPEC], "event": [SPEC, EVENT], "ended": [SPEC, None], "waiting": ["x"]}


@pytest.mark.parametrize("method", ["__enter__", *METHODS, "__exit__"])
def test_a_display_that_raises_is_not_asked_again(method):
    display = Raising(method)
    with Dispensable(lambda total: display, 3) as shown:
        for name, arguments in METHODS.items():
            getattr(shown, name)(*arguments)
    names = ["__enter__", *METHODS, "__exit__"]
    assert display.called[: names.index(method) + 1] == names[: names.index(method) + 1]
    assert set(display.called[names.index(method) + 1 :]) <= {"__exit__"}


def test_a_display_that_can_not_be_made_is_none():
    with Dispensable(lambda total: 1 / 0, 3) as shown:
        shown.started(SPEC)

"""Live progress: a bar per run on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from genbench.plan.spec import RunSpec
from genbench.results.schema import Record

#: Seconds between two log lines of one run.
LOG_INTERVAL = 10.0


class Dispensable:
    """Shows how a campaign goes for as long as the display works: one that raises is not asked again, and the campaign
    goes on.

    Args:
        make: makes the display, given the number of runs.
        total: the number of runs.
    """

    def __init__(self, make: Callable[[int], Any], total: int) -> None:
        self._display: Any = None
        with contextlib.suppress(Exception):
            self._display = make(total)

    def __enter__(self) -> Dispensable:
        self._call("__enter__")
        return self

    def __exit__(self, *error: object) -> None:
        self._call("__exit__", None, None, None)

    def reused(self, spec: RunSpec, record: Record) -> None:
        """Pass on that a record is reused."""
        self._call("reused", spec, record)

    def started(self, spec: RunSpec) -> None:
        """Pass on that a run starts."""
        self._call("started", spec)

    def event(self, spec: RunSpec, event: dict[str, Any]) -> None:
        """Pass on what a run reports."""
        self._call("event", spec, event)

    def ended(self, spec: RunSpec, record: Record) -> None:
        """Pass on how a run ended."""
        self._call("ended", spec, record)

    def waiting(self, what: str) -> None:
        """Pass on what is waited for."""
        self._call("waiting", what)

    def _call(self, method: str, *arguments: Any) -> None:
        display = self._display
        if display is None:
            return
        try:
            getattr(display, method)(*arguments)
        except Exception:
            self._display = None
            with contextlib.suppress(Exception):  # it may hold the terminal
                display.__exit__(None, None, None)


def make_display(console: Console, total: int) -> Bars | Lines:
    """Bars if `console` is a terminal, else lines; `total` is the number of runs."""
    return Bars(console, total) if console.is_terminal else Lines(console, total)


class Lines:
    """Plain log lines: when a run starts, every few seconds, when it ends."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.places: dict[str, int] = {}
        self.last: dict[str, float] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def reused(self, spec: RunSpec, record: Record) -> None:
        """Say that a record is reused."""
        self._say(spec, _reused(record))

    def started(self, spec: RunSpec) -> None:
        """Say that a run starts."""
        self.last[spec.key] = time.monotonic()
        self._say(spec, "started")

    def event(self, spec: RunSpec, event: dict[str, Any]) -> None:
        """Say how far a run is, now and then."""
        if time.monotonic() - self.last[spec.key] <= LOG_INTERVAL:
            return
        if event["phase"] == "training" and "fraction" in event:
            text = f"{event['fraction']:.0%} of budget, {_training(event)}"
        elif "done" in event:
            text = f"measuring {event['metric']}, {event['done']:.0%}"
        else:
            return
        self.last[spec.key] = time.monotonic()
        self._say(spec, text)

    def ended(self, spec: RunSpec, record: Record) -> None:
        """Say how a run ended."""
        self._say(spec, _ending(record))

    def waiting(self, what: str) -> None:
        """Say what is waited for."""
        self.console.print(_waiting(what), markup=False, highlight=False, soft_wrap=True)

    def _say(self, spec: RunSpec, text: str) -> None:
        place = self.places.setdefault(spec.key, len(self.places) + 1)
        self.console.print(
            f"[{place}/{self.total}] {spec.title}: {text}", markup=False, highlight=False, soft_wrap=True
        )


class Bars:
    """A bar for every run under way: budget spent, loss, images/s. How it ended stays as a line above, so that any
    number of runs fits on any terminal."""

    def __init__(self, console: Console, total: int) -> None:
        self.progress = Progress(
            TextColumn("{task.fields[place]} {task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[state]}", markup=False),
            console=console,
        )
        self.total = total
        self.places: dict[str, int] = {}
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def reused(self, spec: RunSpec, record: Record) -> None:
        """A line that says so."""
        self._say(spec, _reused(record))

    def started(self, spec: RunSpec) -> None:
        """A new bar."""
        self.tasks[spec.key] = self.progress.add_task(spec.title, total=1.0, place=self._place(spec), state="starting")

    def event(self, spec: RunSpec, event: dict[str, Any]) -> None:
        """Move the bar, or say what is being done."""
        task = self.tasks[spec.key]
        if "fraction" in event:
            self.progress.update(task, completed=event["fraction"], state=_training(event))
        elif event["phase"] != "curve":
            state = f"measuring {event['metric']}" if "metric" in event else event["phase"]
            if "done" in event:
                state += f", {event['done']:.0%}"
            self.progress.update(task, state=state)

    def ended(self, spec: RunSpec, record: Record) -> None:
        """A line that says how, in place of the bar."""
        self.progress.remove_task(self.tasks.pop(spec.key))
        self._say(spec, _ending(record))

    def waiting(self, what: str) -> None:
        """A line that says what is waited for."""
        self.progress.console.print(_waiting(what), markup=False, highlight=False, soft_wrap=True)

    def _place(self, spec: RunSpec) -> str:
        return f"[{self.places.setdefault(spec.key, len(self.places) + 1)}/{self.total}]"

    def _say(self, spec: RunSpec, text: str) -> None:
        self.progress.console.print(
            f"{self._place(spec)} {spec.title}: {text}", markup=False, highlight=False, soft_wrap=True
        )


def _waiting(what: str) -> str:
    return f"waiting for another genbench to finish with {what}"


def _reused(record: Record) -> str:
    return f"reused ({record.key})" if record.status == "ok" else f"left as it is: {record.status} ({record.key})"


def _training(event: dict[str, Any]) -> str:
    parts = [f"{event['seconds']:.1f} s", f"{event['steps']} steps"]
    loss = event["scalars"].get("loss")
    if loss is not None:
        parts.append(f"loss {loss:.4g}")
    if event["images_per_s"] is not None:
        parts.append(f"{event['images_per_s']:,.0f} images/s")
    return ", ".join(parts)


def _ending(record: Record) -> str:
    if record.status == "ok":
        shown = {"bits_per_dim": "bits/dim", "log_likelihood": "nats", "fid": "FID"}
        values = {value.name: value.value for value in record.metrics}
        if "bits_per_dim" in values:
            values.pop("log_likelihood", None)
        parts = [f"{values[name]:.3f} {unit}" for name, unit in shown.items() if name in values]
        compilation = str(record.provenance.get("compile", ""))
        if compilation.startswith("plain"):
            parts.append(f"trained {compilation}")
        return _printable(", ".join(["ok", *parts]))
    reason = f": {record.error.type}: {record.error.message}" if record.error else ""
    return _printable(f"{record.status}{reason}")


def _printable(text: str) -> str:
    """The text without what could steer the terminal, as a message may be anything."""
    return "".join(character for character in text if character.isprintable())

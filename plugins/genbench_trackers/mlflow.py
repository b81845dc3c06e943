"""MLflow (`--track mlflow`): one MLflow run a run, in the experiment `genbench` of wherever MLflow is set to log to
(`MLFLOW_TRACKING_URI`)."""

from __future__ import annotations

import re
import time
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

import genbench
from genbench_trackers.numbers import final, last_step, live, outcome, parameters

if TYPE_CHECKING:
    from genbench.plan.spec import RunSpec
    from genbench.results.schema import Record

EXPERIMENT = "genbench"
#: Seconds between two calls to the server while a run trains: each costs tens of milliseconds.
INTERVAL = 5.0
#: How many metrics and how many parameters the server takes in one call.
METRICS, PARAMETERS = 1000, 100
#: MLflow's names for how a run ended; all else failed.
STATUS = {"ok": "FINISHED", "killed": "KILLED", "timeout": "KILLED"}


class MLflow:
    """Logs to MLflow from a thread of its own, so that a slow server holds up no run.

    A run whose logging failed once is not logged any further; the next hook warns of it.
    """

    GENBENCH_API = 1

    def __init__(self, out: Path) -> None:
        self.client = MlflowClient()
        self.experiment = _experiment(self.client)
        self.runs: dict[str, _Run] = {}
        self._thread = ThreadPoolExecutor(1, "mlflow")
        self._calls: deque[Future[None]] = deque()

    @genbench.hookimpl
    def genbench_run_start(self, spec: RunSpec) -> None:
        """Begin an MLflow run with the options as parameters."""
        if spec.key in self.runs:
            self._end(spec.key, "KILLED", "begun anew")
        run = self.runs[spec.key] = _Run(self.client)
        self._later(run, run.begin, self.experiment, spec.title, parameters(spec))
        self._warn()

    @genbench.hookimpl
    def genbench_progress(self, spec: RunSpec, event: dict[str, Any]) -> None:
        """Take over the numbers of an event, and log them from time to time."""
        run, (step, values) = self.runs.get(spec.key), live(event)
        if run is None or not values:
            return
        run.pending += _metrics(step, values)
        if time.monotonic() - run.sent >= INTERVAL:
            run.sent = time.monotonic()
            self._later(run, run.log, run.take())
        self._warn()

    @genbench.hookimpl
    def genbench_run_end(self, record: Record) -> None:
        """Log what was measured, and end the MLflow run."""
        run = self.runs.get(record.key)
        if run is None:
            return
        run.pending += _metrics(last_step(record), final(record))
        self._end(record.key, STATUS.get(record.status, "FAILED"), outcome(record))
        self._warn()

    def close(self) -> None:
        """End the runs that have not ended as killed, and wait until all is logged."""
        for key in list(self.runs):
            self._end(key, "KILLED", "interrupted")
        self._thread.shutdown()
        self._warn()

    def _end(self, key: str, status: str, why: str) -> None:
        run = self.runs.pop(key)
        self._later(run, run.end, run.take(), status, why)

    def _later(self, run: _Run, call: Callable[..., None], *arguments: Any) -> None:
        self._calls.append(self._thread.submit(run.unless_lost, call, *arguments))

    def _warn(self) -> None:
        """Warn of the calls that have failed since; raising would keep the hook from plugins that come after."""
        while self._calls and self._calls[0].done():
            if error := self._calls.popleft().exception():
                warnings.warn(f"--track mlflow: {type(error).__name__}: {error}", stacklevel=2)


class _Run:
    """An MLflow run; `begin`, `log` and `end` are called by the one thread that talks to the server, in order."""

    def __init__(self, client: MlflowClient) -> None:
        self.client = client
        self.id = ""
        self.lost = False
        self.pending: list[Metric] = []
        self.sent = time.monotonic()

    def take(self) -> list[Metric]:
        taken, self.pending = self.pending, []
        return taken

    def unless_lost(self, call: Callable[..., None], *arguments: Any) -> None:
        if self.lost:
            return
        try:
            call(*arguments)
        except Exception:
            self.lost = True
            raise

    def begin(self, experiment: str, title: str, options: dict[str, Any]) -> None:
        self.id = self.client.create_run(experiment, run_name=title).info.run_id
        params = [Param(_name(name), str(value)) for name, value in options.items()]
        for start in range(0, len(params), PARAMETERS):
            self.client.log_batch(self.id, params=params[start : start + PARAMETERS])

    def log(self, metrics: list[Metric]) -> None:
        for start in range(0, len(metrics), METRICS):
            self.client.log_batch(self.id, metrics=metrics[start : start + METRICS])

    def end(self, metrics: list[Metric], status: str, why: str) -> None:
        try:
            self.log(metrics)
            self.client.log_batch(self.id, tags=[RunTag("genbench.outcome", why)])
        finally:
            self.client.set_terminated(self.id, status)


def _experiment(client: MlflowClient) -> str:
    """The experiment's id; made where there is none."""
    try:
        return client.create_experiment(EXPERIMENT)
    except MlflowException:
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            raise
        return found.experiment_id


def _metrics(step: int, values: dict[str, float]) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(_name(name), value, now, step) for name, value in values.items()]


def _name(name: str) -> str:
    """A name that MLflow takes: a model may call its scalars anything."""
    head, slash, tail = name.partition("/")
    return head + slash + re.sub(r"[^\w-]+", "_", tail)

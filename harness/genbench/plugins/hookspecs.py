"""The hooks a plugin may implement, with `genbench.hookimpl`, each taking any subset of the arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from genbench.plugins.entries import DatasetEntry, ExecutorEntry, MetricEntry, ModelEntry, SelftestEntry

if TYPE_CHECKING:
    from genbench.plan.spec import RunSpec
    from genbench.results.schema import Record

hookspec = pluggy.HookspecMarker("genbench")
#: Marks hook implementations of plugins.
hookimpl = pluggy.HookimplMarker("genbench")


@hookspec
def genbench_models() -> Iterable[ModelEntry]:  # type: ignore[empty-body]  # a specification has no body
    """The models this plugin offers."""


@hookspec
def genbench_datasets() -> Iterable[DatasetEntry]:  # type: ignore[empty-body]  # as above
    """The datasets this plugin offers."""


@hookspec
def genbench_metrics() -> Iterable[MetricEntry]:  # type: ignore[empty-body]  # as above
    """The metrics this plugin offers."""


@hookspec
def genbench_selftests() -> Iterable[SelftestEntry]:  # type: ignore[empty-body]  # as above
    """The proofs this plugin ships of what its models and metrics say."""


@hookspec
def genbench_executors() -> Iterable[ExecutorEntry]:  # type: ignore[empty-body]  # as above
    """What this plugin can have runs carried out by."""


@hookspec
def genbench_run_start(spec: RunSpec) -> None:
    """A run's process is being started. Called in the parent process, like the two below."""


@hookspec
def genbench_progress(spec: RunSpec, event: dict[str, Any]) -> None:
    """A run reports how far it is, a few times a second. `event` has a `phase`:

    - `"setup"`, `"training"` or `"evaluation"`, the last with a `metric` and at times how much of it is `done`, in
      [0, 1]; while training also `fraction` (of the budget), `seconds`, `steps`, `samples`, `images_per_s` and
      `scalars`.
    - `"curve"`, while training, for every point of the curve: `point`, with the fields of
      `genbench.results.schema.CurvePoint` (`steps`, `objective`, `metrics`, … on the validation split), and `timing`,
      what training took so far, with fields of a record's `timing`. A run that goes on from a saved state begins with
      the points it had.
    """


@hookspec
def genbench_run_end(record: Record) -> None:
    """A run has ended, well or not, and its record is written."""

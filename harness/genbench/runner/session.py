"""From a suite, or runs to redo, to records: find plugins, plan, decide what is reused, carry out the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from genbench.data.cache import fix_folders
from genbench.errors import printable
from genbench.plan.exchange import Prepared, VisibleGpu, Wanted
from genbench.plan.planner import Plan, make_plan
from genbench.plan.suite import Suite
from genbench.plugins.catalogue import Catalogue
from genbench.plugins.trackers import Tracker, find_trackers, tracking
from genbench.results.schema import Record
from genbench.results.store import Store
from genbench.runner.campaign import Decision, Display, RunOptions, carry_out, decide
from genbench.runner.display import Dispensable
from genbench.runner.executor import Executor, Limits
from genbench.runner.executors import make_executor
from genbench.runner.redo import Left, Prepare, Redo, plan_again
from genbench.runner.slots import Slot
from genbench.runner.workers import RUNNING, Workers


@dataclass(frozen=True)
class Session:
    """A campaign, planned and decided upon, ready to be carried out.

    Attributes:
        left: the runs that were to be redone and can't be planned any more.
    """

    catalogue: Catalogue
    workers: Workers
    executor: Executor
    store: Store
    plan: Plan
    left: list[Left]
    decisions: list[Decision]
    trackers: dict[str, type[Tracker]]
    options: RunOptions
    slots: list[Slot]

    @classmethod
    def open(cls, suite: Suite, plugins: Sequence[str], options: RunOptions, preload: str = RUNNING) -> Session:
        """Validate everything in a suite and plan it; nothing on disk is changed.

        Raises:
            UsageError: something asked for is unknown, malformed or refused.
            GenbenchError: no dataset can be had, or the executor's machines can't be reached.
        """

        def plan(catalogue: Catalogue, prepare: Prepare) -> tuple[Plan, list[Left]]:
            return make_plan(suite, catalogue, prepare), []

        return cls._open(plan, suite.out, suite.device, plugins, options, preload)

    @classmethod
    def redo(
        cls, records: Redo, out: Path, plugins: Sequence[str], options: RunOptions, preload: str = RUNNING
    ) -> Session:
        """Plan the runs of `out` that are to be redone; those that can't be planned any more are `left`.

        Raises:
            UsageError: an option or a plugin is unknown or malformed.
            GenbenchError: the executor's machines can't be reached.
        """
        return cls._open(partial(plan_again, records), out, records.device, plugins, options, preload)

    @classmethod
    def measure(
        cls, records: Redo, out: Path, plugins: Sequence[str], options: RunOptions, preload: str = RUNNING
    ) -> Session:
        """Plan the measuring of finished runs of `out`, with the reference rows for the metrics, and no training: runs
        that have changed since, or have no checkpoint, are `left`.

        Raises:
            UsageError: an option, a metric or a plugin is unknown or malformed.
        """
        session = cls._open(partial(plan_again, records), out, records.device, plugins, options, preload)
        decisions = [
            each for each in session.decisions if each.reused is not None or each.spec.measure or each.spec.is_reference
        ]
        kept = {decision.spec.key for decision in decisions}
        planned = {run.key for run in session.plan.runs}
        known = {left.record.key for left in session.left}
        left = [
            Left(
                record, "it has no checkpoint" if record.key in planned else "its plugin or its data has changed since"
            )
            for record in records.runs
            if record.key not in kept | known
        ]
        return replace(session, decisions=decisions, left=[*session.left, *left])

    @classmethod
    def _open(
        cls,
        make: Callable[[Catalogue, Prepare], tuple[Plan, list[Left]]],
        out: Path,
        device: str,
        plugins: Sequence[str],
        options: RunOptions,
        preload: str,
    ) -> Session:
        out = out.absolute()  # before any plugin's code runs, which may change the working folder
        fix_folders()
        trackers = find_trackers(options.track)
        catalogue = Catalogue.find(plugins)
        workers = Workers(preload)
        executor = make_executor(catalogue, options.executor, options.address)
        try:
            gpus = workers.call("genbench.plan.environment:visible_gpus", device, returns=list[VisibleGpu])
            slots = executor.slots(options.jobs, gpus)
            first = slots[0]

            def prepare(wanted: Wanted) -> Any:
                # with the share of a run: the protocol has its number of threads, and it sees one GPU
                share = {"cores": first.cores, "threads": first.threads, "environment": first.environment}
                on_it = replace(wanted, device="cuda:0") if gpus and wanted.device != "cpu" else wanted
                return workers.call("genbench.plan.prepare:prepare", on_it, returns=Prepared, **share)

            plan, left = make(catalogue, prepare)
        except BaseException:
            executor.close()
            raise
        store = Store(out)
        decisions = decide(plan.runs, store, options)
        return cls(catalogue, workers, executor, store, plan, left, decisions, trackers, options, slots)

    def carry_out(self, make_display: Callable[[int], AbstractContextManager[Display]]) -> list[Record]:
        """The records of all runs, in the order of the plan.

        Args:
            make_display: given the number of runs, what shows how they go.

        Raises:
            GenbenchError: the output folder can't be written, or a tracker can't start.
            KeyboardInterrupt: what is finished is kept.
        """
        command = [printable(argument) for argument in (Path(sys.argv[0]).name, *sys.argv[1:])]
        manager = self.catalogue.discovery.manager
        with closing(self.executor):
            self.store.prepare()
            with (
                tracking(manager, self.trackers, self.store.out),
                Dispensable(make_display, len(self.decisions)) as display,
            ):
                return carry_out(
                    self.decisions,
                    self.store,
                    self.executor,
                    display,
                    manager.hook,
                    command,
                    self.slots,
                    Limits(evaluation=self.options.evaluation_limit),
                )

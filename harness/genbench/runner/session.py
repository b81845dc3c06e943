"""From a suite to its records: find plugins, plan, decide what is reused, carry out the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.plan.exchange import Wanted
from genbench.plan.planner import Plan, make_plan
from genbench.plan.suite import Suite
from genbench.plugins.catalogue import Catalogue
from genbench.plugins.trackers import Tracker, find_trackers, tracking
from genbench.results.schema import Record
from genbench.results.store import Store
from genbench.runner.campaign import Decision, Display, RunOptions, carry_out, decide
from genbench.runner.executor import Executor, Limits
from genbench.runner.executors import make_executor
from genbench.runner.slots import Slot
from genbench.runner.workers import RUNNING, Workers


@dataclass(frozen=True)
class Session:
    """A suite, planned and decided upon, ready to be carried out."""

    suite: Suite
    catalogue: Catalogue
    workers: Workers
    executor: Executor
    store: Store
    plan: Plan
    decisions: list[Decision]
    trackers: dict[str, type[Tracker]]
    options: RunOptions
    slots: list[Slot]

    @classmethod
    def open(cls, suite: Suite, plugins: Sequence[str], options: RunOptions, preload: str = RUNNING) -> Session:
        """Validate everything and plan; nothing on disk is changed.

        Raises:
            UsageError: something asked for is unknown, malformed or refused.
            GenbenchError: a dataset can't be had, or the executor's machines can't be reached.
        """
        trackers = find_trackers(options.track)
        catalogue = Catalogue.find(plugins)
        workers = Workers(preload)
        executor = make_executor(catalogue, options.executor, options.address)
        try:
            slots = executor.slots(options.jobs)

            def prepare(wanted: Wanted) -> Any:
                # with the cores and threads of a run, so that the protocol has its number of threads
                target = "genbench.plan.prepare:prepare"
                return workers.call(target, wanted, cores=slots[0].cores, threads=slots[0].threads)

            plan = make_plan(suite, catalogue, prepare)
        except BaseException:
            executor.close()
            raise
        store = Store(suite.out)
        decisions = decide(plan.runs, store, options)
        return cls(suite, catalogue, workers, executor, store, plan, decisions, trackers, options, slots)

    def carry_out(self, make_display: Callable[[int], AbstractContextManager[Display]]) -> list[Record]:
        """The records of all runs, in the order of the plan.

        Args:
            make_display: given the number of runs, what shows how they go.

        Raises:
            GenbenchError: the output folder can't be written, or a tracker can't start.
            KeyboardInterrupt: what is finished is kept.
        """
        command = [Path(sys.argv[0]).name, *sys.argv[1:]]
        manager = self.catalogue.discovery.manager
        with closing(self.executor):
            self.store.prepare()
            with tracking(manager, self.trackers, self.store.out), make_display(len(self.decisions)) as display:
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

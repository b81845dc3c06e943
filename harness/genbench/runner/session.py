"""From a suite to its records: find plugins, plan, decide what is reused, carry out the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
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
from genbench.runner.running import Limits
from genbench.runner.slots import Slot, make_slots
from genbench.runner.workers import RUNNING, Workers


@dataclass(frozen=True)
class Session:
    """A suite, planned and decided upon, ready to be carried out."""

    suite: Suite
    catalogue: Catalogue
    workers: Workers
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
            GenbenchError: a dataset can't be had.
        """
        trackers = find_trackers(options.track)
        catalogue = Catalogue.find(plugins)
        workers = Workers(preload)
        slots = make_slots(options.jobs)

        def prepare(wanted: Wanted) -> Any:
            # with the cores of a run, so that the protocol has its number of threads
            return workers.call("genbench.plan.prepare:prepare", wanted, cores=slots[0].cores)

        plan = make_plan(suite, catalogue, prepare)
        store = Store(suite.out)
        return cls(suite, catalogue, workers, store, plan, decide(plan.runs, store, options), trackers, options, slots)

    def carry_out(self, make_display: Callable[[int], AbstractContextManager[Display]]) -> list[Record]:
        """The records of all runs, in the order of the plan.

        Args:
            make_display: given the number of runs, what shows how they go.

        Raises:
            GenbenchError: the output folder can't be written, or a tracker can't start.
            KeyboardInterrupt: what is finished is kept.
        """
        self.store.prepare()
        command = [Path(sys.argv[0]).name, *sys.argv[1:]]
        manager = self.catalogue.discovery.manager
        with tracking(manager, self.trackers, self.store.out), make_display(len(self.decisions)) as display:
            return carry_out(
                self.decisions,
                self.store,
                self.workers,
                display,
                manager.hook,
                command,
                self.slots,
                Limits(evaluation=self.options.evaluation_limit),
            )

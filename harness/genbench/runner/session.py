"""From a suite to its records: find plugins, plan, decide what is reused, carry out the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from genbench.plan.planner import Plan, make_plan
from genbench.plan.suite import Suite
from genbench.plugins.catalogue import Catalogue
from genbench.results.schema import Record
from genbench.results.store import Store
from genbench.runner.campaign import Decision, Display, carry_out, decide
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

    @classmethod
    def open(cls, suite: Suite, plugins: Sequence[str], force: bool, preload: str = RUNNING) -> Session:
        """Validate everything and plan; nothing on disk is changed.

        Raises:
            UsageError: something asked for is unknown, malformed or refused.
            GenbenchError: a dataset can't be had.
        """
        catalogue = Catalogue.find(plugins)
        workers = Workers(preload)
        plan = make_plan(suite, catalogue, lambda wanted: workers.call("genbench.plan.prepare:prepare", wanted))
        store = Store(suite.out)
        return cls(suite, catalogue, workers, store, plan, decide(plan.runs, store, force))

    def carry_out(self, make_display: Callable[[int], AbstractContextManager[Display]]) -> list[Record]:
        """The records of all runs, in the order of the plan.

        Args:
            make_display: given the number of runs, what shows how they go.

        Raises:
            GenbenchError: the output folder can't be written.
            KeyboardInterrupt: what is finished is kept.
        """
        self.store.prepare()
        command = [Path(sys.argv[0]).name, *sys.argv[1:]]
        hooks = self.catalogue.discovery.manager.hook
        with make_display(len(self.decisions)) as display:
            return carry_out(self.decisions, self.store, self.workers, display, hooks, command)

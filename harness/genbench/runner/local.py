"""The executor that carries runs out on this machine, each in a process of its own from the fork server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from genbench.errors import UsageError
from genbench.plan.exchange import VisibleGpu
from genbench.runner.executor import Executor, Job
from genbench.runner.running import Running
from genbench.runner.slots import Slot, make_slots
from genbench.runner.workers import RUNNING, Workers


class Local(Executor):
    """Processes on this machine, which share its cores out."""

    def __init__(self, address: str | None = None) -> None:
        if address is not None:
            raise UsageError("--executor local takes no --address")

    @cached_property
    def workers(self) -> Workers:
        """Made with the first run: what only plans preloads less."""
        return Workers(RUNNING)

    def slots(self, jobs: int | None, gpus: Sequence[VisibleGpu]) -> list[Slot]:
        return make_slots(jobs, gpus)

    def start(self, job: Job) -> Running:
        earlier = job.store.identity(job.spec.key)
        worker = self.workers.start(
            "genbench.runner.worker:run",
            job.spec,
            job.store.out,
            job.command,
            log=job.folder / "log.txt",
            environment=job.slot.environment,
            cores=job.slot.cores,
            threads=job.slot.threads,
            kept=[job.lock.descriptor],
        )
        return Running(job, worker, earlier)

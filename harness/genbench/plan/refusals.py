"""Which models can't be trained on which data.

Constructors are foreign code, and tens of thousands of them may be asked: they run in processes forked for that, one
core each, which may die or hang, and which build models without initialising their weights.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

import torch

from genbench.data import DataSpec
from genbench.errors import UnsupportedData
from genbench.model import Model, ModelConfig
from genbench.plain import error_text

#: How long one constructor may take, in seconds.
LIMIT = 20.0
#: Constructors for which another process is worth its start.
WORTH = 500
#: Bytes of an answer at most.
LONGEST = 2**16
#: A model and a dataset, by their places in what is asked.
Pair = tuple[int, int]


def refusals(models: Sequence[tuple[type[Model], ModelConfig]], data: Sequence[DataSpec]) -> dict[Pair, str]:
    """The pairs of a model and a dataset, by their places, that make no sense, each with the reason.

    Any other fault of a model is left to its run, which makes a record of it; a class whose constructor ends the
    process or takes longer than `LIMIT` is not asked again.
    """
    pairs = [(model, dataset) for model in range(len(models)) for dataset in range(len(data))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(cores, len(pairs) // WORTH + 1)
    found: dict[Pair, str] = {}
    children = [_Child(models, data, part) for k in range(count) if (part := pairs[k::count])]
    try:
        while children:
            ready = wait([child.connection for child in children], 1.0)
            for child in list(children):
                if child.connection in ready:
                    child.hear(found)
                if child.left and not child.lost:
                    continue
                child.stop()
                children.remove(child)
                if child.left:
                    culprit = models[child.left[0][0]][0]
                    if others := [pair for pair in child.left if models[pair[0]][0] is not culprit]:
                        children.append(_Child(models, data, others))
    finally:
        for child in children:
            child.stop()
    return found


class _Child:
    """A process that is asking models; `left` are the pairs that it has not answered, the one under way first."""

    def __init__(
        self, models: Sequence[tuple[type[Model], ModelConfig]], data: Sequence[DataSpec], pairs: list[Pair]
    ) -> None:
        self.pairs = pairs
        self.answered = 0
        self.gone = False
        self.heard = time.monotonic()
        fork = multiprocessing.get_context("fork")
        self.connection, there = fork.Pipe(duplex=False)
        self.process = fork.Process(target=_answer, args=(there, models, data, pairs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: the child uses none of them
            self.process.start()
        there.close()

    @property
    def left(self) -> list[Pair]:
        return self.pairs[self.answered :]

    @property
    def lost(self) -> bool:
        """True where it is gone, or hangs."""
        return self.gone or time.monotonic() - self.heard > LIMIT

    def hear(self, found: dict[Pair, str]) -> None:
        """Take an answer in."""
        try:
            reason = json.loads(self.connection.recv_bytes(LONGEST))
        except (EOFError, OSError, ValueError):
            self.gone = True
            return
        if reason:
            found[self.pairs[self.answered]] = str(reason)
        self.answered += 1
        self.heard = time.monotonic()

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _answer(
    connection: Connection,
    models: Sequence[tuple[type[Model], ModelConfig]],
    data: Sequence[DataSpec],
    pairs: Sequence[Pair],
) -> None:
    """In the child: send the reason of each pair, empty where there is none."""
    sys.stdout = sys.stderr = nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115  # for as long as this process lives
    os.dup2(nowhere.fileno(), 1)
    os.dup2(nowhere.fileno(), 2)
    torch.set_num_threads(1)  # the pools of the process that this one is forked from are not here
    for name in dir(torch.nn.init):
        if name.endswith("_") and not name.startswith("_"):
            setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
    for model, dataset in pairs:
        reason = _refusal(*models[model], data[dataset])
        connection.send_bytes(json.dumps(reason).encode())


def _refusal(cls: type[Model], config: ModelConfig, data: DataSpec) -> str:
    try:
        cls.check_data(data)
        cls(data, config)
    except UnsupportedData as error:
        return error_text(error).partition(": ")[2]
    except BaseException:  # noqa: S110  # see `refusals`
        pass
    return ""

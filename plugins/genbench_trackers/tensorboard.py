"""TensorBoard (`--track tensorboard`): one folder of event files a run, in `OUT/tensorboard`."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

import genbench
from genbench_trackers.numbers import final, last_step, live, outcome, parameters

if TYPE_CHECKING:
    from genbench.plan.spec import RunSpec
    from genbench.results.schema import Record

#: Characters of a label and of a dataset reference that a folder's name has, at most.
NAME_LENGTH = 80


class TensorBoard:
    """Writes event files, each event whole and at once, so that they can be read at any time."""

    GENBENCH_API = 1

    def __init__(self, out: Path) -> None:
        self.folder = out / "tensorboard"
        self.runs: dict[str, _EventFile] = {}

    @genbench.hookimpl
    def genbench_run_start(self, spec: RunSpec) -> None:
        """Begin a folder, with the options as hyperparameters and as text."""
        if spec.key in self.runs:
            self.runs.pop(spec.key).close()
        options = parameters(spec)
        plain = {name: v if isinstance(v, bool | int | float | str) else str(v) for name, v in options.items()}
        file = self.runs[spec.key] = _EventFile(_new_folder(self.folder / folder_name(spec)))
        file.write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        file.add(0, hparams_pb(plain, trial_id=spec.key))
        file.add(0, text_pb("run", "\n".join(f"    {line}" for line in json.dumps(options, indent=1).splitlines())))

    @genbench.hookimpl
    def genbench_progress(self, spec: RunSpec, event: dict[str, Any]) -> None:
        """Add the numbers of an event."""
        step, values = live(event)
        if values and spec.key in self.runs:
            self.runs[spec.key].add_scalars(step, values)

    @genbench.hookimpl
    def genbench_run_end(self, record: Record) -> None:
        """Add what was measured, and close the file."""
        if record.key not in self.runs:
            return
        with closing(self.runs.pop(record.key)) as file:
            file.add_scalars(last_step(record), final(record))
            file.add(last_step(record), text_pb("outcome", f"    {outcome(record)}"))

    def close(self) -> None:
        """Close the files of runs that have not ended."""
        with ExitStack() as stack:
            while self.runs:
                stack.enter_context(closing(self.runs.popitem()[1]))


def folder_name(spec: RunSpec) -> str:
    """What a run is called: a plain name of letters, digits and `_.,=+-`, whatever the label has in it."""
    label, data = (
        re.sub(r"[^A-Za-z0-9.,=+-]+", "_", text).strip("_.")[:NAME_LENGTH] for text in (spec.label, spec.data)
    )
    return f"{label}-{data}-seed{spec.seed}-{spec.key[:8]}"


def _new_folder(wanted: Path) -> Path:
    """Make the folder, or `-2`, `-3`, … beside it: a run that is redone or resumed begins a curve of its own."""
    folder, attempt = wanted, 1
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            attempt += 1
            folder = wanted.with_name(f"{wanted.name}-{attempt}")
        else:
            return folder


class _EventFile:
    def __init__(self, folder: Path) -> None:
        path = folder / f"events.out.tfevents.{time.time():.0f}.genbench"
        self._writer = RecordWriter(path.open("wb"))

    def add(self, step: int, summary: Summary) -> None:
        self.write(Event(wall_time=time.time(), step=step, summary=summary))

    def add_scalars(self, step: int, values: dict[str, float]) -> None:
        self.add(step, Summary(value=[value for item in values.items() for value in scalar_pb(*item).value]))

    def write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

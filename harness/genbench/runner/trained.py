"""A finished run and what it takes to use its model again, as plain data: torch-free, made by the parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.plain import plain_line
from genbench.plugins.catalogue import Catalogue
from genbench.results.finding import find_run, title
from genbench.results.schema import Record


@dataclass(frozen=True)
class Trained:
    """A run with a checkpoint.

    Attributes:
        folder: the run's folder.
        target: `"module:Class"` of its model.
        dataset_target: `"module:Class"` of its dataset.
        files: local plugin files, which are imported first.
    """

    record: Record
    folder: Path
    target: str
    dataset_target: str
    files: tuple[Path, ...] = ()

    @property
    def checkpoint(self) -> Path:
        """The file with its weights."""
        return self.folder / self.record.artifacts["checkpoint"]

    @classmethod
    def find(cls, name: str, out: Path, plugins: Sequence[str]) -> Trained:
        """The run that a user calls `name` (see `find_run`), with what plugins offer.

        Raises:
            UsageError: there is no one such run, or no plugin offers its model or its dataset any more.
            GenbenchError: it has no checkpoint.
        """
        record, folder = find_run(name, out)
        run = f"run {record.key} ({title(record)})"
        if record.status != "ok":
            raise GenbenchError(f"{run} has no model to use: its status is {record.status}")
        if record.spec.family == "reference" or "checkpoint" not in record.artifacts:
            reasons = record.provenance.get("unsaved")
            reason = reasons.get("checkpoint") if isinstance(reasons, dict) else None
            raise GenbenchError(f"{run} has no checkpoint" + (f": {plain_line(reason)}" if reason else ""))
        catalogue = Catalogue.find(plugins)
        found = cls(
            record,
            folder,
            catalogue.get("model", record.spec.model).entry.target,
            catalogue.get("dataset", record.spec.dataset).entry.target,
            tuple(catalogue.files),
        )
        if not found.checkpoint.is_file():
            raise GenbenchError(f"{run}: its checkpoint {found.checkpoint} is not there")
        return found

"""Everything that a comparison writes beside its records."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from genbench.report.formats import write_tables
from genbench.results.protocols import by_protocol, gather, processes
from genbench.results.store import Skipped, Store


def write_all(out: Path, warn: Callable[[Sequence[Skipped]], None] | None = None) -> list[Path]:
    """Write the CSV and Markdown tables, the plots and the HTML report of an output folder; their paths.

    Plotting takes a lot of memory for a process that only watches others: `genbench run` calls this in one of its own.

    Args:
        out: the output folder.
        warn: told what can't be read, before anything is written.

    Raises:
        GenbenchError: there is no such folder.
    """
    from genbench.report.page import damaged_files, section, together, write_page  # late: brings jinja2

    paths = Store(out).paths()
    draws = partial(importlib.import_module, "genbench.report.plots")  # takes a second: once, for all that draw
    with processes(len(paths)) as map_:
        found, skipped = gather(by_protocol(paths, map_), partial(section, out=out), map_, meanwhile=draws)
    sections = together(found)
    if warn is not None:
        warn([*skipped, *damaged_files(sections)])
    tables = write_tables([section.table for section in sections], out)
    with processes(len(paths)) as map_:
        return [*tables, *write_page(sections, skipped, out, map_)]

"""The report: one HTML file that holds everything and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from genbench.report import legend, text
from genbench.report.beyond import Beyond, Plot, beyond
from genbench.report.columns import MEANINGS
from genbench.report.failures import failures, summary
from genbench.report.layout import REAL, Row, Table, interval_text, value_text
from genbench.report.pictures import Artifacts, png_uri
from genbench.report.protocols import distinct_values, flatten, one_line, plain
from genbench.report.ranking import ranked_rows
from genbench.report.standings import ranked_standings
from genbench.report.tables import build_table
from genbench.report.tables import together as side_by_side

if TYPE_CHECKING:
    from genbench.results.protocols import Map
    from genbench.results.schema import Record
    from genbench.results.store import Skipped

TEMPLATES = Path(__file__).parent / "templates"
#: Distinct values of a provenance field that are shown.
VALUES = 4
#: What a record's timing has seconds of without saying so.
PHASES = {"setup", "training", "curve", "evaluation"}
#: Runs of a protocol that are listed with what each used.
RUNS = 500
#: Failures whose traceback and log are on the page; a few kilobytes each.
DETAILS = 200
#: The pictures that each run leaves of its own model: the artifact, title, what is to be seen, and its room.
GALLERIES = (
    ("samples", "Samples", "Drawn at random, none chosen, beside real test data.", "small"),
    ("reconstructions", "Reconstructions", "Test images, each above what became of it.", "small"),
    (
        "manifold",
        "Latent manifold",
        "Two-dimensional codes decoded on a grid that is regular in the quantiles of their prior, or of the Gaussian "
        "of its mean and spread: the first dimension grows to the right, the second upwards.",
        "wide",
    ),
    (
        "interpolation",
        "Interpolation",
        "Between two test images, which stand outside: what is decoded on the straight line between their codes, and "
        "beneath it on the way around the mean code.",
        "wide",
    ),
    (
        "traversal",
        "Traversal",
        "One row for each of the dimensions that vary most: the code of a test image with other values there, from two "
        "standard deviations of test codes below their mean to two above.",
        "wide",
    ),
    (
        "arithmetic",
        "Attribute arithmetic",
        "A test image, its reconstruction, and what is decoded when multiples of the mean difference between the "
        "training codes of two classes, or of two values of a factor, are added to its code.",
        "wide",
    ),
)


@dataclass(frozen=True)
class Picture:
    """A picture as a `data:` URI, or in its place a `note` why there is none."""

    title: str
    uri: str | None
    caption: str = ""
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """The same kind of picture of several models; `without` have none to show, `shown` is what is not folded away."""

    title: str
    caption: str
    room: str
    shown: bool
    pictures: list[Picture]
    without: list[str]


@dataclass(frozen=True)
class Section:
    """All that the page says about one protocol, which needs its records, but for what the other protocols decide.

    Attributes:
        not_beside: the models that are missing in `side_by_side` because their files are damaged, and how.
        damaged: the files that runs left and that can't be shown.
    """

    table: Table
    beyond: Beyond
    side_by_side: list[Plot]
    not_beside: list[tuple[str, str]]
    galleries: list[Gallery]
    runs: list[dict[str, str]]
    unlisted: int
    provenance: dict[str, list[str]]
    failed: list[Record]
    damaged: list[Skipped]


@dataclass(frozen=True)
class Finished:
    """A section as HTML, with its plots in it, and the files of these."""

    html: str
    plots: list[Path]


def section(records: Sequence[Record], out: Path) -> Section:
    """What the page says about these records of one protocol."""
    table = build_table(records)
    by_key = {record.key: record for record in records}
    listed = [(row, key) for row in table.rows for key in row.keys]
    failed = {row.key for row in failures(records)}
    left = Artifacts(out)
    return Section(
        table=table,
        beyond=beyond(table, records),
        side_by_side=_side_by_side(table, by_key, left),
        not_beside=[
            (by_key[key].spec.label, f"{item.path.name} is damaged: {plain(item.reason)}")
            for (key, purpose), item in left.damaged.items()
            if purpose in ("codes", "rows")
        ],
        galleries=[
            Gallery(title, caption, room, purpose == "samples", *_pictures(purpose, table, by_key, left))
            for purpose, title, caption, room in GALLERIES
        ],
        runs=[_facts(row, by_key[key]) for row, key in listed[:RUNS]],
        unlisted=len(listed[RUNS:]),
        provenance=distinct_values(by_key[key].provenance for _, key in listed),
        failed=[record.model_copy(update={"curve": []}) for record in records if record.key in failed],
        damaged=list(left.damaged.values()),  # when all else was read
    )


def together(sections: Sequence[Section]) -> list[Section]:
    """The sections in the order of their tables, each of which says in what it differs from the others."""
    by_protocol = {section.table.protocol_hash: section for section in sections}
    tables = side_by_side([section.table for section in sections])
    return [replace(by_protocol[table.protocol_hash], table=table) for table in tables]


def write_page(sections: Sequence[Section], skipped: Sequence[Skipped], out: Path, map_: Map = map) -> list[Path]:
    """Write the plots and the page of these sections, which `map_` draws and renders; all their paths."""
    from genbench.results.store import write_atomically  # late: brings pydantic

    rows = [row for section in sections for row in section.table.rows]
    labels = list(dict.fromkeys(row.label for row in rows if not row.is_reference))
    finished = list(map_(partial(_finished, labels, out), enumerate(sections, 1)))
    page = out / "report.html"
    write_atomically(page, _render(sections, [section.html for section in finished], skipped, out))
    return [*(path for section in finished for path in section.plots), page]


def write_plots(plots: Iterable[Plot], out: Path) -> list[Path]:
    """Write the plots to `OUT/plots`; their paths."""
    from genbench.results.store import write_atomically  # late: see above

    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for plot in plots:
        paths.append(folder / plot.file)
        write_atomically(paths[-1], plot.png)
    return paths


def _finished(labels: Sequence[str], out: Path, numbered: tuple[int, Section]) -> Finished:
    """The section of this number, in a report of models with these labels; its plots are written."""
    from genbench.report.plots import draw_plots, model_palette  # late: brings matplotlib

    number, section = numbered
    table = section.table
    plots = draw_plots(table, section.beyond, model_palette(labels))
    html = (
        _environment()
        .get_template("section.html")
        .render(
            number=number,
            section=section,
            table=table,
            highlights=text.highlights(table),
            protocols=_own_protocols(table),
            protocol={name: one_line(value) for name, value in flatten(table.protocol).items()},
            plots=[_embedded(plot) for plot in plots],
            side_by_side=[_embedded(plot) for plot in section.side_by_side],
            most_values=VALUES,
        )
    )
    return Finished(html, write_plots([*plots, *section.side_by_side], out))


def tables_to_html(tables: Sequence[Table]) -> str:
    """The tables as a fragment of HTML, without style."""
    return _environment().get_template("fragment.html").render(tables=tables, legend=_legend(tables))


def _embedded(plot: Plot) -> Picture:
    return Picture(plot.title, png_uri(plot.png), plot.caption)


def _side_by_side(table: Table, records: Mapping[str, Record], files: Artifacts) -> list[Plot]:
    """Codes of all models in one figure; the same test images, and the same noisy ones, as each gives them back."""
    scatters: list[tuple[str, Record, dict[str, Any]]] = []
    images: list[tuple[str, dict[str, Any]]] = []
    for row in table.rows:
        record = _first_ok(row, records)
        if record is None:
            continue
        if (arrays := files.codes(record)) is not None:
            scatters.append((row.label, record, arrays))
        left = files.rows(record)
        if left is not None and (not images or left["x"].shape == images[0][1]["x"].shape):
            images.append((row.label, left))
    return _draw_side_by_side(table, scatters, images) if scatters or images else []


def _draw_side_by_side(
    table: Table, scatters: Sequence[tuple[str, Record, dict[str, Any]]], images: Sequence[tuple[str, dict[str, Any]]]
) -> list[Plot]:
    """The plots of codes and of images that there are, by the labels of their models."""
    from genbench.report.plots.latents import Codes, draw_latents  # late: brings matplotlib
    from genbench.report.plots.rows import draw_rows

    plots = []
    if scatters:
        panels = [
            Codes(label, record.spec.model, arrays, _code_dimension(record)) for label, record, arrays in scatters
        ]
        plots.append(draw_latents(table, panels))
    if images:
        given = images[0][1]
        reconstructed = [("original", given["x"]), *((label, left["reconstructed"]) for label, left in images)]
        restored = [("clean", given["x"]), ("with noise", given["noisy"])]
        restored += [(label, left["restored"]) for label, left in images]
        plots += [
            draw_rows(
                table,
                reconstructed,
                "reconstructions",
                f"Reconstructions: {table.data}",
                "The same test images, none chosen, as each model reconstructs them.",
            ),
            draw_rows(
                table,
                restored,
                "denoising",
                f"Denoising: {table.data}",
                "The same test images with the same noise, and what each model makes of it, trained to do so or not.",
            ),
        ]
    return plots


def _own_protocols(table: Table) -> dict[str, str]:
    """The protocol hashes of every column's values."""
    cells = {column.name: [row.cells[column.name] for row in table.rows] for column in table.columns}
    hashes = {name: dict.fromkeys(one for cell in found for one in cell.protocols) for name, found in cells.items()}
    return {name: " ".join(found) for name, found in hashes.items() if found}


def _first_ok(row: Row, records: Mapping[str, Record]) -> Record | None:
    return next((records[key] for key in row.keys if records[key].status == "ok"), None)


def _code_dimension(record: Record) -> int | None:
    found = (value.settings.get("dimension") for value in record.metrics if value.name == "knn_accuracy")
    return next((dimension for dimension in found if isinstance(dimension, int)), None)


def _pictures(
    purpose: str, table: Table, records: Mapping[str, Record], files: Artifacts
) -> tuple[list[Picture], list[str]]:
    """The pictures that runs left for a purpose, with the models that left none."""
    pictures, without = [], []
    for row in sorted(table.rows, key=lambda row: row.model != REAL):
        record = _first_ok(row, records)
        if row.is_reference and row.model != REAL:
            continue
        if record is None:
            pictures.append(Picture(row.label, None, note=row.fate))
        elif (uri := files.picture(record, purpose)) is not None:
            several = f", seed {record.spec.seed}" if len(row.keys) > 1 else ""
            pictures.append(Picture(f"{row.label}{several}", uri))
        elif (record.key, purpose) in files.damaged:
            pictures.append(Picture(row.label, None, note=f"damaged: {files.damaged[record.key, purpose].reason}"))
        elif not row.is_reference:
            without.append(row.label)
    shown = any(picture.uri for picture in pictures) or any(of == purpose for _, of in files.damaged)
    return (pictures if shown else []), without


def _facts(row: Row, record: Record) -> dict[str, str]:
    """What one run used, for the table of runs."""
    used = record.budget.used.model_dump(exclude_none=True)
    times = {f"{name} (s)" if name in PHASES else name: value for name, value in record.timing.items()}
    selected = {f"weights: {name}": value for name, value in record.selected.items()}
    facts = {"model": row.label, "seed": record.spec.seed, "status": record.status, **used, **times, **selected}
    numbers = {name: f"{value:,.6g}" if isinstance(value, float) else value for name, value in facts.items()}
    return {one_line(name): one_line(value) for name, value in (numbers | {"run": record.key}).items()}


def _render(sections: Sequence[Section], html: Sequence[str], skipped: Sequence[Skipped], out: Path) -> str:
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    tables = [section.table for section in sections]
    records = [record for section in sections for record in section.failed]
    statuses = sum((Counter(row.statuses) for table in tables for row in table.rows), Counter[str]())
    failed = failures(records)
    detailed = {row.key for row in failed[:DETAILS]}
    return (
        _environment()
        .get_template("report.html")
        .render(
            titles=[table.title for table in tables],
            sections=html,
            statuses=statuses,
            failures=failed,
            failures_summary=summary(failed, statuses.total()),
            details=failures((record for record in records if record.key in detailed), out)[:DETAILS],
            skipped=[(plain(str(item.path)), plain(item.reason)) for item in skipped],
            damaged=[(plain(str(item.path)), plain(item.reason)) for item in damaged_files(sections)],
            style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
            script=script,
            script_hash=f"sha256-{digest}",
            legend=_legend(tables),
            meanings={name: MEANINGS[name] for name in MEANINGS if _has_column(tables, name)},
            version=version("genbench"),
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


def damaged_files(sections: Iterable[Section]) -> list[Skipped]:
    """The files beside records that can't be shown in any of these sections."""
    return [item for section in sections for item in section.damaged]


def _legend(tables: Sequence[Table]) -> list[str]:
    found = [standing for table in tables for standing in ranked_standings(table)]
    shown = [standing.to_best(row) for standing in found for row in standing.rows]
    differences = [between for between in shown if between is not None]
    return legend.legend(tables, lambda table: table.columns) + legend.difference_legend(differences)


def _has_column(tables: Iterable[Table], name: str) -> bool:
    return any(column.name == name for table in tables for column in table.columns)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers: dict[str, Any] = {
        "kind_marks": text.KIND_MARKS,
        "marks": text.marks,
        "flag_notes": legend.flag_notes,
        "rank_text": text.rank_text,
        "difference_text": text.difference_text,
        "basis_text": text.basis_text,
        "ranks": legend.RANKS,
        "ranked_rows": ranked_rows,
        "ranked_standings": ranked_standings,
        "not_applicable": text.NOT_APPLICABLE,
        "header": text.header,
        "value_text": value_text,
        "interval_text": interval_text,
        "differs_line": text.differs_line,
        "problem_text": text.problem_text,
        "unanswered_line": text.unanswered_line,
        "meaning": MEANINGS.get,
        "plain": plain,
    }
    environment.globals.update(helpers)
    return environment

"""What plots consist of beyond the tables, and plots when they are drawn. Plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from genbench.plain import LARGEST
from genbench.report.columns import in_order
from genbench.report.layout import Row, Table, models
from genbench.report.quantities import mean

if TYPE_CHECKING:
    from genbench.results.schema import CurvePoint, Record


@dataclass(frozen=True)
class Plot:
    """A finished plot: its file name under `OUT/plots`, what it shows, and the PNG."""

    file: str
    title: str
    caption: str
    png: bytes


#: With more runs than this, lines are means over a model's seeds.
LINES = 100

#: What was spent, and the value then.
Point = tuple[float, float]


@dataclass(frozen=True)
class Lines:
    """The curves of one metric.

    Attributes:
        timed: whether seconds were spent, else shares of the budget.
        averaged: whether there is a line per model, else one per run.
        found: by the label of a row, its lines.
    """

    name: str
    timed: bool
    averaged: bool
    found: Mapping[str, Sequence[Sequence[Point]]]


def quality_lines(table: Table, by_key: Mapping[str, Record]) -> Lines | None:
    """The first metric that the curves have, over training time; over the budget's share where it is not in seconds."""
    runs = [(row, by_key[key]) for row in models(table) for key in row.keys if by_key[key].curve]
    measured = dict.fromkeys(tuple(point.metrics) for _, record in runs for point in record.curve)
    names = in_order(name for same in measured for name in same)
    if not names:
        return None
    timed = all(record.budget.allowed.seconds for _, record in runs)
    averaged = len(runs) > LINES
    found: dict[str, list[list[Point]]] = {}
    for row, record in runs:
        if line := _line(record.curve, names[0], timed):
            found.setdefault(row.label, []).append(line)
    if averaged:
        found = {label: [_mean_line(lines)] for label, lines in found.items()}
    return Lines(names[0], timed, averaged, found) if found else None


@dataclass(frozen=True)
class Level:
    """One level of latent variables: how many it has, how many of them are active, and the divergence in nats of each
    that is listed; means over seeds."""

    variables: int
    active: float
    kl: Sequence[float]


#: By the label of a row its levels, that furthest from the data first.
Levels = Mapping[str, Sequence[Level]]


def collapse_levels(table: Table, by_key: Mapping[str, Record]) -> Levels:
    """What `collapse` measured of every model that has latent variables."""
    measured = {row.label: _levels(row, by_key) for row in models(table)}
    return {label: levels for label, levels in measured.items() if levels}


@dataclass(frozen=True)
class Beyond:
    """What the plots of a table show beyond what is in it."""

    lines: Lines | None
    levels: Levels


def beyond(table: Table, records: Iterable[Record]) -> Beyond:
    """What the plots need of the records that the table was built from."""
    by_key = {record.key: record for record in records}
    return Beyond(quality_lines(table, by_key), collapse_levels(table, by_key))


def _line(curve: Iterable[CurvePoint], name: str, timed: bool) -> list[Point]:
    points = [(point.seconds if timed else point.fraction, point.metrics.get(name)) for point in curve]
    return [(spent, value) for spent, value in points if spent > 0 and value is not None]


def _mean_line(lines: Iterable[Sequence[Point]]) -> list[Point]:
    """The means of the lines' first points, of their second ones, …"""
    places = [[point for point in same if point is not None] for same in zip_longest(*lines)]
    return [(mean([spent for spent, _ in same]), mean([value for _, value in same])) for same in places]


def _levels(row: Row, by_key: Mapping[str, Record]) -> list[Level]:
    """The means over the seeds that have the levels (of a model that has changed between seeds: over those that are
    like the first)."""
    values = [value for key in row.keys for value in by_key[key].metrics if value.metric == "collapse"]
    found: list[Any] = [value.settings.get("levels") for value in values]
    runs = [levels for levels in found if _are_levels(levels)]
    alike = [levels for levels in runs if _sizes(levels) == _sizes(runs[0])]
    return [_mean_level(same) for same in zip(*alike, strict=True)]


def _are_levels(found: Any) -> bool:
    """True where these settings of somebody's record are levels, one at least, and their numbers can be drawn."""
    return isinstance(found, list) and bool(found) and all(map(_is_level, found))


def _is_level(found: Any) -> bool:
    if not isinstance(found, dict) or not {"variables", "active_units", "kl_by_variable"} <= found.keys():
        return False
    variables, active, kl = found["variables"], found["active_units"], found["kl_by_variable"]
    return (
        isinstance(kl, list)
        and isinstance(variables, int)
        and all(isinstance(number, int | float) and abs(number) <= LARGEST for number in (active, *kl))
    )


def _mean_level(seeds: Sequence[Mapping[str, Any]]) -> Level:
    kl = [mean(same) for same in zip(*(level["kl_by_variable"] for level in seeds), strict=True)]
    return Level(seeds[0]["variables"], mean([level["active_units"] for level in seeds]), kl)


def _sizes(levels: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    return [(level["variables"], len(level["kl_by_variable"])) for level in levels]

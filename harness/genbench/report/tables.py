"""Comparison tables: one per protocol, aggregated over seeds. Plain data; `formats` and `terminal` show it."""

from __future__ import annotations

import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from genbench.errors import unknown
from genbench.report.columns import ORDER, in_order, is_main
from genbench.report.failures import failures
from genbench.report.layout import REFERENCE, STATUS_WORDS, Cell, Column, Problem, Row, Table, Unanswered
from genbench.report.protocols import differences, flatten, heading, one_line, row_label
from genbench.report.quantities import NORMAL_95, agree, decimals_for, mean, t_interval
from genbench.report.ranking import judge, natural, order_text, rank
from genbench.results.account import accounted

if TYPE_CHECKING:
    from genbench.results.schema import Record, Unmeasured, Value


def build_tables(
    records: Iterable[Record], *, sort: str | None = None, columns: Sequence[str] | None = None
) -> list[Table]:
    """The comparison tables of these records, one per protocol.

    Args:
        records: in any order.
        sort: a column by which rows are sorted, best first, or with `-` before it worst first; where neither is
            better, smallest first. Rows without a value come last. Without it rows are sorted by label. Reference
            rows always stand below the models.
        columns: the columns to show, in this order; without it those that any record has.

    Raises:
        UsageError: there is no such column.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.protocol_hash, []).append(record)
    return together([build_table(group, sort=sort, columns=columns) for group in groups.values()], sort, columns)


def together(tables: Iterable[Table], sort: str | None = None, columns: Sequence[str] | None = None) -> list[Table]:
    """The tables of several protocols, each built with these columns, by data and budget, each with what tells it from
    the others.

    Raises:
        UsageError: there is no such column.
    """
    ordered = sorted(tables, key=lambda table: (natural(table.data), natural(table.title)))
    asked = [*(columns or []), *([sort.removeprefix("-")] if sort else [])]
    found = {name for table in ordered for name in table.found}
    for name in asked:
        if name not in found and name not in ORDER:
            raise unknown("column", name, found or ORDER)
    differing = differences([table.protocol for table in ordered])
    return [replace(table, differs=differs) for table, differs in zip(ordered, differing, strict=True)]


def _told(records: Iterable[Record]) -> set[str]:
    """The columns that have something to tell: a number, or that there should be one."""
    return {
        name
        for record in records
        for names in (
            *([value.name] for value in record.metrics),
            *(gap.names for gap in record.unmeasured if gap.status == "failed"),
        )
        for name in names
    }


def _main(records: Iterable[Record]) -> set[str]:
    """The columns for narrow formats; where none of what was asked for is one, all that have something to tell."""
    told = _told(records)
    return {name for name in told if is_main(name, told)} or told


def _names(record: Record) -> tuple[str, ...]:
    return (*[value.name for value in record.metrics], *[name for gap in record.unmeasured for name in gap.names])


def build_table(records: Sequence[Record], *, sort: str | None = None, columns: Sequence[str] | None = None) -> Table:
    """The table of records of one protocol, at least one; see `build_tables`."""
    return _table([accounted(record) for record in records], sort, columns)


def _table(records: list[Record], sort: str | None, chosen: Sequence[str] | None) -> Table:
    by, worst_first = (sort.removeprefix("-"), sort.startswith("-")) if sort else ("", False)
    found = in_order(name for names in {_names(record): None for record in records} for name in names)
    names = list(dict.fromkeys([*found, *(chosen or []), *([by] if by else [])]))
    main = _main(records) if chosen is None else set(chosen)
    values, gaps = _values_by_name(records), _gaps_by_name(records)
    columns = {
        name: _column(name, records, values.get(name, []), gaps.get(name, []), main=name in main) for name in names
    }
    groups = _groups(records)
    rows = [_row(label, group, columns.values()) for label, group in groups.items()]
    columns = {name: _with_decimals(column, rows) for name, column in columns.items()}
    for column in columns.values():
        rows = judge(rows, column)
    rows.sort(key=lambda row: (row.is_reference, natural(row.label)))
    if by:
        rows.sort(key=lambda row: (row.is_reference, *rank(row.cells[by], columns[by], worst_first)))
    return Table(
        protocol_hash=records[0].protocol_hash,
        data=one_line(records[0].spec.data),
        title=" · ".join(heading(records[0])),
        differs={},
        protocol=records[0].protocol,
        columns=[columns[name] for name in (found if chosen is None else chosen)],
        rows=rows,
        problems=[problem for row in rows for problem in _problems(row.label, groups[row.label])],
        order=order_text(columns[by], worst_first) if by else "",
        found=found,
        unanswered=_unanswered(records, chosen),
    )


def _unanswered(records: Iterable[Record], chosen: Sequence[str] | None) -> list[Unanswered]:
    """The metrics that apply to none of the models, those with the same reasons together; of the `chosen` columns only,
    where there are any."""
    reasons: dict[str, dict[str, None]] = {}
    answered = set()
    for record in records:
        if record.spec.family == REFERENCE or record.status != "ok":
            continue
        answered |= {value.metric for value in record.metrics}
        for gap in record.unmeasured:
            if gap.status == "failed":
                answered.add(gap.metric)
            elif chosen is None or set(gap.names) & set(chosen):
                reasons.setdefault(gap.metric, {})[one_line(gap.reason)] = None
    same: dict[tuple[str, ...], list[str]] = {}
    for metric, found in reasons.items():
        if metric not in answered:
            same.setdefault(tuple(found), []).append(metric)
    return [Unanswered(tuple(metrics), found) for found, metrics in same.items()]


def _groups(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records that differ in nothing but the seed, in its order, by a label that no two groups share."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for (label, config), same in _by_config(records).items():
        plugins = [_plugin(record) for record in same]
        first = next(filter(None, plugins), "")
        for record, plugin in zip(same, plugins, strict=True):
            # a process that died early could not say which plugin it ran
            groups.setdefault((label, plugin or first, config), []).append(record)
    return {_distinct(identity, groups): group for identity, group in groups.items()}


def _by_config(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    found: dict[tuple[str, str], list[Record]] = {}
    texts: dict[int, str] = {}  # records share configs that are equal
    for record in sorted(records, key=lambda record: (record.spec.seed, record.key)):
        config = record.spec.config
        if id(config) not in texts:
            texts[id(config)] = json.dumps(config, sort_keys=True)
        found.setdefault((row_label(record), texts[id(config)]), []).append(record)
    return found


def _plugin(record: Record) -> str:
    plugin = record.provenance.get("plugin") or {}
    return " ".join(one_line(part) for part in plugin.values()) if isinstance(plugin, Mapping) else one_line(plugin)


def _distinct(identity: tuple[str, ...], groups: Iterable[tuple[str, ...]]) -> str:
    """As little of label, plugin and config as tells this group from the others."""
    for length in (1, 2):
        if sum(other[:length] == identity[:length] for other in groups) == 1:
            break
    else:
        length = 3
    return " · ".join(part for part in identity[:length] if part)


def _values_by_name(records: Iterable[Record]) -> dict[str, list[Value]]:
    found: defaultdict[str, list[Value]] = defaultdict(list)
    for record in records:
        for value in record.metrics:
            found[value.name].append(value)
    return found


def _seeds_by_name(records: Iterable[Record]) -> dict[str, list[tuple[int, Value]]]:
    found: defaultdict[str, list[tuple[int, Value]]] = defaultdict(list)
    for record in records:
        for value in record.metrics:
            found[value.name].append((record.spec.seed, value))
    return found


def _gaps_by_name(records: Iterable[Record]) -> dict[str, list[Unmeasured]]:
    found: defaultdict[str, list[Unmeasured]] = defaultdict(list)
    for record in records:
        for gap in record.unmeasured:
            for name in dict.fromkeys(gap.names):
                found[name].append(gap)
    return found


def _column(
    name: str, records: Iterable[Record], found: Sequence[Value], gaps: Sequence[Unmeasured], *, main: bool
) -> Column:
    first = found[0] if found else None
    source = first or (gaps[0] if gaps else None)
    comparable = len({value.protocol for value in found}) <= 1
    return Column(
        name=name,
        metric=source.metric if source else "",
        unit=first.unit if first else "",
        better=first.better if first else "neither",
        main=main,
        comparable=comparable,
        differs={} if comparable else _differing(name, records),
        decimals=0,
    )


def _differing(name: str, records: Iterable[Record]) -> dict[str, tuple[str, ...]]:
    """The settings in which values of this name and of different protocols differ, with the value of each protocol; a
    setting that differs among values of one protocol is the model's own and no difference."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for record, value in [(one, value) for one in records for value in one.metrics if value.name == name]:
        asked = flatten(record.metric_protocols.get(value.metric, {}))
        groups.setdefault(value.protocol, []).append({"metric": value.metric, **flatten(value.settings), **asked})
    own = {name for same in groups.values() for each in differences(same) for name in each}
    split = differences([{name: s for name, s in same[0].items() if name not in own} for same in groups.values()])
    return {name: tuple(settings[name] for settings in split) for name in split[0]}


def _row(label: str, group: Sequence[Record], columns: Iterable[Column]) -> Row:
    ok = [record for record in group if record.status == "ok"]
    values, gaps = _seeds_by_name(ok), _gaps_by_name(ok)
    spec = group[0].spec
    return Row(
        label=label,
        model=spec.model,
        family=spec.family,
        keys=tuple(record.key for record in group),
        ok=len(ok),
        precision=one_line(spec.precision),
        select=spec.select,
        statuses=Counter(record.status for record in group),
        cells={
            column.name: _cell(column, values.get(column.name, []), gaps.get(column.name, []), ok)
            if ok
            else _failed_cell(group)
            for column in columns
        },
    )


def _failed_cell(group: Sequence[Record]) -> Cell:
    status = Counter(record.status for record in group).most_common(1)[0][0]
    errors = [record.error.message for record in group if record.error]
    return Cell("failed", word=STATUS_WORDS[status], reason=errors[0] if errors else "")


def _cell(
    column: Column, values: Sequence[tuple[int, Value]], gaps: Sequence[Unmeasured], ok: Iterable[Record]
) -> Cell:
    if values:
        return _aggregate(values)
    if gaps:
        gap = min(gaps, key=lambda gap: gap.status != "failed")
        return Cell(gap.status, word="failed" if gap.status == "failed" else "", reason=gap.reason)
    if any(column.metric in record.spec.metrics for record in ok):
        return Cell("not_applicable", reason=f"{column.metric} has no such number for it")
    return Cell("absent")


def _aggregate(seeds: Sequence[tuple[int, Value]]) -> Cell:
    values = [value for _, value in seeds]
    by_seed = {seed: value.value for seed, value in seeds}
    numbers = [value.value for value in values]
    kinds = {value.kind for value in values}
    ends = _ends(values)
    return Cell(
        "value",
        value=mean(numbers),
        interval=None if ends is None else (ends[1] - ends[0]) / 2,
        ends=ends,
        kind=kinds.pop() if len(kinds) == 1 else "estimate",
        n=len(numbers),
        seeds=tuple(by_seed),
        numbers=array("d", by_seed.values()),
        protocols=_distinct_lines(value.protocol for value in values),
        flags=_distinct_lines(flag for value in values for flag in value.flags),
    )


def _distinct_lines(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one_line(text) for text in dict.fromkeys(texts)))


def _ends(values: Sequence[Value]) -> tuple[float, float] | None:
    """Of the 95% interval over seeds, or, where they all give the same number, which says nothing of its error, over
    the test data."""
    numbers = [value.value for value in values]
    one, centre = values[0], mean(numbers)
    if not agree(numbers):
        width = t_interval(numbers, centre)
    elif one.interval is not None or one.stderr is None:
        return one.interval
    else:
        width = NORMAL_95 * one.stderr
    return centre - width, centre + width


def _with_decimals(column: Column, rows: Iterable[Row]) -> Column:
    """The column with decimals that suit its models' numbers; reference rows may be of another magnitude."""
    cells = [row.cells[column.name] for row in rows if not row.is_reference]
    values = [cell.value for cell in cells if cell.value is not None]
    intervals = [cell.interval for cell in cells if cell.interval is not None]
    return replace(column, decimals=decimals_for(values, intervals))


def _problems(label: str, group: Iterable[Record]) -> list[Problem]:
    return [
        Problem(label, row.seed, STATUS_WORDS[row.status], row.place, row.reason, row.key) for row in failures(group)
    ]

"""Tables in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from genbench.report.layout import Cell, Column, Table
from genbench.report.legend import RANKS, flag_notes, legend
from genbench.report.protocols import one_line
from genbench.report.ranking import ranked_columns, ranked_rows
from genbench.report.text import (
    cell_text,
    differs_line,
    header,
    problem_text,
    rank_text,
    shown_columns,
    unanswered_line,
)


def to_markdown(tables: Sequence[Table]) -> str:
    """Every table under its heading with the reasons of what failed; the legend at the end."""
    blocks = [block for table in tables for block in _blocks(table)]
    blocks.append("\n".join(f"- {_escape(line)}" for line in legend(tables)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _blocks(table: Table) -> list[str]:
    columns = shown_columns(table)
    lines = [
        ["model", "n", *(_head(column) for column in columns)],
        [":--", "--:", *("--:" for _ in columns)],
        *([_code(row.label), row.seeds, *(_cell(row.cells[c.name], c) for c in columns)] for row in table.rows),
    ]
    problems = [f"- {_code(p.label)} {_escape(f'{problem_text(p)}: {one_line(p.reason)}')}" for p in table.problems]
    return [
        f"### {_escape(table.title)}",
        f"Differs from the other tables: {_escape(differs_line(table))}" if table.differs else "",
        _escape(table.order),
        "\n".join(_line(cells) for cells in lines),
        "\n".join(f"- {_escape(note)}" for note in flag_notes(table, columns)),
        _escape(unanswered_line(table)),
        *_ranks(table),
        "\n".join(problems),
    ]


def _ranks(table: Table) -> list[str]:
    columns = ranked_columns(table)
    lines = [
        ["model", *(_escape(column.name) for column in columns)],
        [":--", *("--:" for _ in columns)],
        *([_code(row.label), *(rank_text(row.cells[column.name]) for column in columns)] for row in ranked_rows(table)),
    ]
    return [RANKS, "\n".join(_line(cells) for cells in lines)] if columns else []


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(column: Column) -> str:
    name = _escape(column.name)
    return f"{name}<br>{_escape(header(column))}" if header(column) else name


def _cell(cell: Cell, column: Column) -> str:
    text = cell_text(cell, column)
    return f"**{text}**" if cell.best else text


def _escape(text: str) -> str:
    return re.sub(r"([\\`*\[\]<>|~&#]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def _code(text: str) -> str:
    """A code span, where nothing but `|` and backticks has a meaning."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return fence + pad + text.replace("|", r"\|") + pad + fence

"""The models of one column, best first, and what lies between each two of them. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from genbench.report.comparing import Difference, difference
from genbench.report.layout import Column, Row, Table
from genbench.report.ranking import natural, rank, ranked_columns


@dataclass(frozen=True)
class Standings:
    """How the models of a table stand in one column.

    Attributes:
        rows: the models, best first, those without a number last.
    """

    column: Column
    rows: Sequence[Row]

    @cached_property
    def differences(self) -> Mapping[tuple[str, str], Difference]:
        """By the labels of two models with a number, the first less the second, which stands above it; empty where
        their numbers can't be compared."""
        name = self.column.name
        numbered = [row for row in self.rows if row.cells[name].value is not None] if self.column.comparable else []
        return {
            (row.label, other.label): difference(row.cells[name], other.cells[name])
            for position, row in enumerate(numbered)
            for other in numbered[:position]
        }

    @property
    def ranked(self) -> bool:
        """Whether the models have ranks."""
        return any(row.cells[self.column.name].rank_low for row in self.rows)

    def to_best(self, row: Row) -> Difference | None:
        """What separates a ranked model from the best; None for the best itself, and for what is not ranked."""
        if row.cells[self.column.name].rank_low is None:
            return None
        name = self.column.name
        best = next(row for row in self.rows if row.cells[name].rank_low)
        return None if best is row else difference(row.cells[name], best.cells[name])


def standings(table: Table, column: Column) -> Standings:
    """How the models of the table stand in this column of it."""
    rows = [row for row in table.rows if not row.is_reference]
    rows.sort(key=lambda row: (*rank(row.cells[column.name], column), natural(row.label)))
    return Standings(column, rows)


def ranked_standings(table: Table) -> list[Standings]:
    """How the models stand in each main column in which they are ranked."""
    return [standings(table, column) for column in ranked_columns(table)]


def chosen_column(table: Table, name: str | None) -> Column | None:
    """The table's column of this name, or the first in which models are ranked; None where there is none."""
    columns = ranked_columns(table) if name is None else table.columns
    return next((column for column in columns if name in (None, column.name)), None)

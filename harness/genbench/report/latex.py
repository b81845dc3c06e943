"""Tables in LaTeX, for `booktabs`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from genbench.report.layout import Cell, Column, Row, Table
from genbench.report.legend import flag_notes, legend
from genbench.report.text import cell_text, header, shown_columns

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "·": r"$\cdot$",
    "–": "--",
    "…": r"\ldots{}",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def to_latex(tables: Sequence[Table]) -> str:
    """One `table` environment per protocol, models above reference rows, the legend in the caption."""
    return "\n".join(["% needs \\usepackage{booktabs}", *(line for table in tables for line in _lines(table))]) + "\n"


def _lines(table: Table) -> list[str]:
    columns = shown_columns(table)
    models = [_row(row, columns) for row in table.rows if not row.is_reference]
    references = [_row(row, columns) for row in table.rows if row.is_reference]
    caption = " ".join([f"{table.title}.", *legend([table]), *(f"{note}." for note in flag_notes(table, columns))])
    return [
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{lr{'r' * len(columns)}}}",
        r"\toprule",
        _line(["model", "$n$", *(_escape(column.name) for column in columns)]),
        _line(["", "", *(_escape(header(column)) for column in columns)]),
        r"\midrule",
        *models,
        *([r"\midrule"] if models and references else []),
        *references,
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{_escape(caption)}}}",
        r"\end{table}",
    ]


def _row(row: Row, columns: Iterable[Column]) -> str:
    cells = (_cell(row.cells[column.name], column) for column in columns)
    return _line([rf"\texttt{{{_escape(row.label)}}}", row.seeds, *cells])


def _cell(cell: Cell, column: Column) -> str:
    text = _escape(cell_text(cell, column))
    return rf"\textbf{{{text}}}" if cell.best else text


def _line(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)

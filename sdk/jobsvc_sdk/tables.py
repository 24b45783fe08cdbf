"""Small tables for people: aligned text, and HTML that survives a notebook's sanitiser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from html import escape
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
_CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"


def text_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return aligned columns, two spaces apart, one row a line."""
    lines = [list(headings), *([_plain(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def html_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return an HTML table; every cell is escaped."""
    head = "".join(f'<th style="{_CELL}">{escape(heading)}</th>' for heading in headings)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(_plain(cell))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _plain(cell: Any) -> str:
    """Return a cell on one line, without control characters a terminal would obey."""
    if cell is None:
        return ""
    if isinstance(cell, timedelta):
        return f"{cell.total_seconds():.3g} s"
    return "".join(letter if letter.isprintable() else " " for letter in str(cell))


class Table(list[Item], Generic[Item]):
    """A list that shows itself as a table."""

    headings: Sequence[str] = ()
    empty = "nothing"

    def row(self, item: Item) -> Sequence[Any]:
        """Return the cells of one item, in the order of ``headings``."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return text_table(self.headings, map(self.row, self)) if self else f"({self.empty})"

    def _repr_html_(self) -> str:
        return html_table(self.headings, map(self.row, self)) if self else f"<i>{escape(self.empty)}</i>"

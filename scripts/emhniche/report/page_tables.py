"""How does a table of the run become a table on the page?

A :class:`PageTable` holds cells that are already in words, each with the value it is sorted by; one
macro of the templates writes them all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from emhniche.report import words

NUMERIC = {
    "count": words.number,
    "percent": words.percent,
    "hundredths": lambda value: words.number(value, 2),
    "signed": words.signed,
    "p": words.p_value,
    "number": words.significant,
}
"""Kinds of column that are written as numbers and aligned to the right."""

Formatter = Callable[[object], str]


@dataclass(frozen=True)
class Column:
    """A column of a page's table.

    Attributes
    ----------
    key
        Column of the table.
    heading
        What it is called on the page.
    kind
        One of :data:`NUMERIC`, or ``name``, ``text``, ``prose`` (a sentence), ``narrow`` (small
        type in a narrow column), ``status``, ``verdict``, ``sample``.
    """

    key: str
    heading: str
    kind: str = "name"

    @property
    def numeric(self) -> bool:
        """Whether the column is aligned to the right."""
        return self.kind in NUMERIC


@dataclass(frozen=True)
class PageTable:
    """A table ready for the page.

    Attributes
    ----------
    name
        Its id on the page.
    caption
        What it holds.
    columns, rows
        Columns, and for each row one ``(kind, text, value)`` a column; `value` is what a number is
        sorted by, empty where there is none.
    sources
        Relative path of each file it was made from.
    searchable
        Whether a search field stands above it.
    folded
        Why it is folded away, in a sentence that stands in its place; empty where it is not.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[tuple[str, str, object]]]
    sources: Sequence[str] = ()
    searchable: bool = field(default=False)
    folded: str = ""


def page_table(
    name: str,
    table: pd.DataFrame,
    columns: Sequence[Column],
    *,
    caption: str,
    source: str | Sequence[str] = (),
    searchable: bool = False,
    folded: str = "",
) -> PageTable:
    """Put the rows of a table in words.

    Parameters
    ----------
    name
        Id on the page.
    table
        Its rows, in their order.
    columns
        What is shown; columns that the table lacks are left out.
    caption, searchable, folded
        As in :class:`PageTable`.
    source
        Relative path of the file it was made from, or of each.

    Returns
    -------
    PageTable
    """
    shown = [column for column in columns if column.key in table]
    rows = [
        [_cell(column, value) for column, value in zip(shown, values, strict=True)]
        for values in zip(*(table[column.key] for column in shown), strict=True)
    ]
    sources = (source,) if isinstance(source, str) else tuple(source)
    return PageTable(name, caption, shown, rows, sources, searchable, folded)


def with_interval(table: pd.DataFrame, write: Formatter = words.signed) -> pd.DataFrame:
    """Put the limits of an interval into one column, ``interval``, in words.

    Parameters
    ----------
    table
        With ``ci_low`` and ``ci_high``.
    write
        How a limit is written.

    Returns
    -------
    pandas.DataFrame
        `table` with the column; empty where a limit is missing.
    """
    limits = zip(table["ci_low"], table["ci_high"], strict=True)
    texts = [
        "" if words.is_missing(low) or words.is_missing(high) else f"{write(low)} to {write(high)}"
        for low, high in limits
    ]
    return table.assign(interval=texts)


def _cell(column: Column, value: object) -> tuple[str, str, object]:
    if column.numeric:
        return "number", NUMERIC[column.kind](value), "" if words.is_missing(value) else value
    if words.is_missing(value):
        return "text", words.MISSING, ""
    text = words.name(value) if column.kind == "name" else str(value)
    return column.kind, text, ""

"""What is a sentence of the report, and what does it rest on?"""

from dataclasses import dataclass

from emhniche.report.tables import TABLES


@dataclass(frozen=True)
class Finding:
    """One sentence with what it rests on.

    Attributes
    ----------
    status
        Status word of the tables, or empty for a plain count.
    text
        The sentence.
    table
        Path of its table, relative to the report.
    """

    status: str
    text: str
    table: str


def source(table: str) -> str:
    """Return the path of a table of :data:`emhniche.report.tables.TABLES`, from the report."""
    return f"../{TABLES[table][0]}"

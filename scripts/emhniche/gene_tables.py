"""How is a gene table read, and what can be wrong in any of them?

Each check raises one line that names the file and row, what is wrong and what would be right.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from emhniche.errors import InputError

SPECIES = ("mouse", "human")

_ABSENT = {"mouse": ("CXCL8", "IL37"), "human": ("CXCL15", "WFDC17", "NGP", "IFITM6")}
"""Genes that the other species has and this one lacks (Ensembl orthologues), upper case."""


def read_rows(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a gene table as text.

    Parameters
    ----------
    path
        A tab-separated table with a header.
    columns
        Columns that it must have.

    Returns
    -------
    pandas.DataFrame
        Indexed by line number in the file; the header is line 1.

    Raises
    ------
    InputError
        When it is no such table, a column is missing, or a row has another number of fields.
    """
    (_, header), *rows = _lines(path, columns)
    _check_header(path, header, columns)
    if not rows:
        raise InputError(f"{path}: no row below the header; give one row a gene or set")
    for number, fields in rows:
        if len(fields) != len(header):
            raise InputError(
                f"{path}: row {number} has {len(fields)} fields, {len(header)} are needed; "
                "separate fields by one tab, also empty ones"
            )
    numbers, fields = zip(*rows, strict=True)
    return pd.DataFrame([*fields], pd.Index(numbers), header, dtype=str)


def rows_of_species(path: str | Path, table: pd.DataFrame, species: str) -> pd.DataFrame:
    """Return the rows of a species, of which there must be one.

    Raises
    ------
    InputError
        When the table is of the other species only.
    """
    kept = table[table["species"] == species].copy()
    if kept.empty:
        raise InputError(
            f"{path}: no row of {species}, which the samples are of; it has rows of "
            f"{', '.join(table['species'].unique())} only"
        )
    return kept


def check_species(species: str) -> None:
    """Raise ``InputError`` where a species is none of :data:`SPECIES`."""
    if species not in SPECIES:
        raise InputError(f"species: {species!r} is unknown; it would be one of mouse, human")


def check_choice(where: str, column: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ``InputError`` where a value is none of those that are allowed."""
    if value not in allowed:
        raise InputError(
            f"{where}: {column} {value!r} is unknown; it would be one of {', '.join(allowed)}"
        )


def check_filled(where: str, column: str, value: str) -> None:
    """Raise ``InputError`` where a value is blank."""
    if not value.strip():
        raise InputError(f"{where}: {column} is empty; every row needs one")


def check_unique(path: str | Path, table: pd.DataFrame, columns: list[str]) -> None:
    """Raise ``InputError`` where two rows agree in all of some columns."""
    twice = table.duplicated(columns)
    if twice.any():
        row = table.index[twice][0]
        raise InputError(
            f"{path}: row {row}: {' '.join(table.loc[row, columns])} is there twice; "
            f"{', '.join(columns)} must be unique together"
        )


def check_genes(where: str, text: str, species: str) -> None:
    """Raise ``InputError`` where one of a list of symbols is wrong, or there twice."""
    genes = text.split(";")
    for gene in genes:
        check_gene(where, gene, species)
        if genes.count(gene) > 1:
            raise InputError(f"{where}: gene {gene} is there twice; name each gene once")


def check_gene(where: str, gene: str, species: str) -> None:
    """Raise ``InputError`` where a symbol is empty, spaced, of the other species or absent."""
    if not gene:
        raise InputError(f"{where}: gene '' is blank; put one ';' between symbols, none at the end")
    if re.search(r"[\s,|]", gene):
        raise InputError(f"{where}: gene {gene!r} is no symbol; separate symbols by ';' alone")
    if gene.upper() in _ABSENT[species]:
        raise InputError(
            f"{where}: gene {gene} does not exist in {species}; leave it out of {species} rows"
        )
    upper = gene == gene.upper() and sum(letter.isalpha() for letter in gene) > 1
    if species == "mouse" and upper and not gene.startswith("H2-"):
        raise InputError(
            f"{where}: gene {gene} is spelled as in human; mouse would be {_title(gene)}"
        )
    if species == "human" and gene.replace("orf", "") != gene.replace("orf", "").upper():
        raise InputError(
            f"{where}: gene {gene} is spelled as in mouse; human would be {gene.upper()}"
        )


def _lines(path: str | Path, columns: tuple[str, ...]) -> list[tuple[int, list[str]]]:
    """Return the fields of each line that is not blank, with its number."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; give the path of a tab-separated table")
    try:
        with open(path, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter="\t")
            lines = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a tab-separated table ({error}); save it as UTF-8") from None
    if not lines:
        raise InputError(f"{path}: it is empty; its columns would be {', '.join(columns)}")
    return lines


def _check_header(path: str | Path, header: list[str], columns: tuple[str, ...]) -> None:
    """Refuse a header that is not tab-separated, lacks a column or has one twice."""
    if len(header) == 1:
        raise InputError(
            f"{path}: it is not tab-separated, its header is one column {header[0]!r}; "
            "put tabs between the columns"
        )
    missing = [column for column in columns if column not in header]
    if missing:
        raise InputError(
            f"{path}: column {', '.join(missing)} is missing; it has {', '.join(header)}"
        )
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} is there twice; name each column once")


def _title(gene: str) -> str:
    return gene[:1] + gene[1:].lower()

"""Which official symbol does each row name of a matrix stand for?

Matrices name genes by the symbols of their time, and some join the names of transcripts that
cannot be told apart (``Ccl4_ScyA4``, ``Gm1;Actb``). Later stages look genes up by symbol, so a
symbol that is not today's is a gene lost. The rules are in ``docs/ingest.md``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError
from emhniche.io import read_table

ERCC = re.compile(r"ERCC[-_]\d+")
"""Names of the spike-in transcripts of the External RNA Controls Consortium."""

COLUMNS = ("alias", "symbol", "species", "source")

_JOINED = re.compile(r"[;_]")
_MADE_UNIQUE = re.compile(r"(.+)\.\d+")
_STYLE = {
    "mouse": re.compile(r"(?:[A-Z][a-z0-9]+|H2)(?:-[A-Za-z0-9]+)?"),
    "human": re.compile(r"[A-Z][A-Z0-9]+(?:orf\d+)?(?:-[A-Z0-9]+)*"),
}
"""How an official symbol is written; accession numbers and most synonyms are written otherwise."""
_PROVISIONAL = re.compile(r"Gm\d+|Kiaa\d+|LOC\d+|[A-Z]{1,2}\d{5,}|.*-ps\d*|.*-rs\d*")
"""Provisional names, accession numbers, pseudogenes and related sequences."""
_REGISTERED = re.compile(r"(?:\d{7}|[A-Z]\d{6})[A-Z]\d{2}Rik|Gm\d+|BC\d{6}")
"""Provisional names that are official all the same: RIKEN clones, predicted genes, BC clones."""


def resolve_symbols(
    symbols: Sequence[str], aliases: Mapping[str, str], *, species: str
) -> pd.DataFrame:
    """Give every row name its official symbol.

    In this order: a name that `aliases` lists becomes what is listed; a joined name (``a_b`` or
    ``a;b``) becomes its only part that is written as official symbols of `species` are, and
    stays as it is when there is none or more than one; a name with ``.1`` behind a name that the
    matrix also has (R's ``make.unique``) becomes that name; any other stays.

    Parameters
    ----------
    symbols
        Row names, length n_genes.
    aliases
        Old name to official symbol, for `species`.
    species
        ``mouse`` or ``human``.

    Returns
    -------
    pandas.DataFrame
        n_genes rows in the order of `symbols`: ``source_symbol``, ``symbol``, ``rule`` (``same``,
        ``alias``, ``joined``, ``joined_left`` or ``made_unique``).
    """
    present = set(symbols)
    rows = [_resolve(name, aliases, present, species) for name in symbols]
    table = pd.DataFrame(rows, columns=["symbol", "rule"])
    table.insert(0, "source_symbol", np.asarray(symbols, dtype=object))
    return table


def read_aliases(path: str | Path, species: str) -> dict[str, str]:
    """Read ``aliases.tsv`` (alias, symbol, species, source) for one species.

    Raises
    ------
    InputError
        When a column is missing, or an alias stands for two symbols or for another alias.
    """
    table = read_table(path)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; needed: {', '.join(COLUMNS)}")
    table = table[table["species"] == species]
    twice = table["alias"][table["alias"].duplicated()]
    if len(twice):
        raise InputError(
            f"{path}: alias '{twice.iloc[0]}' stands twice for {species}; keep one row"
        )
    aliases = dict(zip(table["alias"], table["symbol"], strict=True))
    for alias, symbol in aliases.items():
        if aliases.get(symbol, symbol) != symbol:
            raise InputError(
                f"{path}: alias '{alias}' leads to '{symbol}', itself an alias of "
                f"'{aliases[symbol]}'; name the official symbol"
            )
    return aliases


def sum_by_symbol(
    counts: sparse.csr_matrix, symbols: Sequence[str]
) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """Add up the columns of equal symbol.

    Parameters
    ----------
    counts
        Cells x genes.
    symbols
        Symbol of each column, length n_genes.

    Returns
    -------
    tuple of scipy.sparse.csr_matrix, numpy.ndarray, numpy.ndarray
        Cells x unique symbols; the unique symbols in order of first appearance; for each input
        column the number of its output column.
    """
    codes, unique = pd.factorize(np.asarray(symbols, dtype=object))
    if len(unique) == counts.shape[1]:
        return counts, unique, codes
    adder = sparse.csr_matrix(
        (np.ones(len(codes), counts.dtype), (np.arange(len(codes)), codes)),
        shape=(len(codes), len(unique)),
    )
    return counts @ adder, unique, codes


def _resolve(
    name: str, aliases: Mapping[str, str], present: set[str], species: str
) -> tuple[str, str]:
    if name in aliases:
        return aliases[name], "alias" if aliases[name] != name else "joined_left"
    parts = [part for part in _JOINED.split(name) if part]
    if len(parts) > 1:
        known = dict.fromkeys(aliases.get(part, part) for part in parts)
        chosen = next((part for part in known if _is_official(part, species)), None) or next(
            (part for part in known if _REGISTERED.fullmatch(part)), None
        )
        return (chosen, "joined") if chosen else (name, "joined_left")
    unique = _MADE_UNIQUE.fullmatch(name)
    if unique and unique[1] in present:
        return aliases.get(unique[1], unique[1]), "made_unique"
    return name, "same"


def _is_official(part: str, species: str) -> bool:
    return bool(_STYLE[species].fullmatch(part)) and not _PROVISIONAL.fullmatch(part)

"""What does a simulated cell type express?

Three tables of ``resources/demo`` say so. ``profiles.tsv`` holds measured mean expression of base
profiles, ``programmes.tsv`` the genes that a cell type has more or less of than its base profile,
and ``cell_types.tsv`` which profile and programmes make a cell type, how many counts its cells
have and how frequent it is. ``resources/README.md`` explains the columns.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from emhniche.errors import InputError

SCALE = 10_000
"""Rates are counts of a gene per this many counts of the genes of ``profiles.tsv``."""

PROFILES = (
    *("B", "T", "NK", "plasma", "DC", "monocyte", "macrophage", "granulocyte"),
    *("erythroid", "progenitor", "stroma"),
)
"""Base profiles: what the public files hold enough cells of."""

TISSUES = ("marrow", "spleen")
"""Columns of ``cell_types.tsv`` that hold shares of a tissue's cells."""

_PROGRAMME_COLUMNS = ("programme", "gene", "rate", "source", "verification")
_TYPE_COLUMNS = (
    *("cell_type", "lineage", "named", "profile", "programmes", "maturation", "counts"),
    *("counts_sd", *TISSUES, "source", "verification"),
)


def expression(
    cell_types: pd.DataFrame, profiles: pd.DataFrame, programmes: pd.DataFrame
) -> pd.DataFrame:
    """Return the share that each gene has in the counts of each cell type.

    A cell type starts with its base profile. Its programmes replace the rates of their genes, one
    programme after the other; then the column is divided by its sum.

    Parameters
    ----------
    cell_types, profiles, programmes
        As :func:`load_cell_types`, :func:`load_profiles` and :func:`load_programmes` return them.

    Returns
    -------
    pandas.DataFrame
        Genes x cell types, float; every column sums to 1.
    """
    rates_of = {
        name: rows.set_index("gene")["rate"] for name, rows in programmes.groupby("programme")
    }
    columns = {}
    for name, row in cell_types.iterrows():
        rates = profiles[row["profile"]].copy()
        for programme in row["programmes"]:
            rates[rates_of[programme].index] = rates_of[programme]
        columns[name] = rates / rates.sum()
    return pd.DataFrame(columns, index=profiles.index)


def load_tables(
    *, profiles: str | Path, programmes: str | Path, cell_types: str | Path, lineages: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read the three tables, each checked against the others.

    Parameters
    ----------
    profiles, programmes, cell_types
        The files.
    lineages
        Marker genes, as :func:`emhniche.resources.load_lineages` returns them.

    Returns
    -------
    profiles, programmes, cell_types : pandas.DataFrame
        As :func:`expression` takes them (it wants the cell types first).

    Raises
    ------
    InputError
        When a table is wrong, or names what another does not have.
    """
    table = load_profiles(profiles)
    changes = load_programmes(programmes, table.index)
    return table, changes, load_cell_types(cell_types, programmes=changes, lineages=lineages)


def load_profiles(path: str | Path) -> pd.DataFrame:
    """Read ``profiles.tsv``.

    Returns
    -------
    pandas.DataFrame
        Genes x ``dispersion`` and one column a base profile, float.

    Raises
    ------
    InputError
        When a column is missing, a gene comes twice, or a number is missing or out of range.
    """
    table = _read(path, ("gene", "dispersion", *PROFILES))
    table = _unique(path, table, "gene")[["dispersion", *PROFILES]]
    for column in table:
        number = _numbers(path, table[column])
        low = number <= 0 if column == "dispersion" else number < 0
        if low.any():
            raise InputError(
                f"{path}: gene {low.idxmax()}: {column} is {number[low.idxmax()]:g}; it would be "
                f"{'above' if column == 'dispersion' else 'at least'} 0"
            )
        table[column] = number
    for column in PROFILES:
        if table[column].sum() <= 0:
            raise InputError(f"{path}: profile {column} has no gene above 0; give its rates")
    return table


def load_programmes(path: str | Path, genes: pd.Index) -> pd.DataFrame:
    """Read ``programmes.tsv``.

    Parameters
    ----------
    path
        The table.
    genes
        Genes of ``profiles.tsv``; a programme can name no other.

    Returns
    -------
    pandas.DataFrame
        One row a programme and gene, in file order: ``programme``, ``gene``, ``rate``, ``source``,
        ``verification``.

    Raises
    ------
    InputError
        When a column is missing, a gene comes twice in a programme or is not in `genes`, a rate
        is no number from 0, or a row has no source.
    """
    table = _read(path, _PROGRAMME_COLUMNS)
    where = "programme " + table["programme"].astype(str) + ", gene " + table["gene"].astype(str)
    twice = table.duplicated(["programme", "gene"])
    if twice.any():
        raise InputError(f"{path}: {where[twice.idxmax()]} stands twice; keep one row")
    unknown = ~table["gene"].isin(genes)
    if unknown.any():
        raise InputError(
            f"{path}: {where[unknown.idxmax()]} is not in profiles.tsv; build that table again "
            "with scripts/build_demo_profiles.py"
        )
    _check_sourced(path, table, where)
    table["rate"] = _numbers(path, table["rate"].set_axis(where)).to_numpy()
    if (table["rate"] < 0).any():
        raise InputError(f"{path}: {where[table['rate'].idxmin()]}: rate is below 0")
    return table


def load_cell_types(
    path: str | Path, *, programmes: pd.DataFrame, lineages: pd.DataFrame
) -> pd.DataFrame:
    """Read ``cell_types.tsv``.

    Parameters
    ----------
    path
        The table.
    programmes
        As :func:`load_programmes` returns them.
    lineages
        Marker genes, as :func:`emhniche.resources.load_lineages` returns them.

    Returns
    -------
    pandas.DataFrame
        Indexed by cell type; ``named`` and ``programmes`` are tuples, ``maturation`` is NaN where
        the type does not mature.

    Raises
    ------
    InputError
        When a column is missing, a cell type comes twice, a name is known to no other table, a
        number is out of range, the stages of maturation are no line from 0 to 1, or the shares of a
        tissue do not sum to 1.
    """
    table = _unique(path, _read(path, _TYPE_COLUMNS), "cell_type")
    _check_sourced(path, table, table.index.to_series())
    for column in ("named", "programmes"):
        table[column] = [tuple(filter(None, str(text).split(";"))) for text in table[column]]
    for name, row in table.iterrows():
        own = lineages["cell_type"][lineages["lineage"] == row["lineage"]]
        _known(path, name, "profile", (row["profile"],), PROFILES)
        _known(path, name, "programmes", row["programmes"], set(programmes["programme"]))
        _known(path, name, "lineage", (row["lineage"],), set(lineages["lineage"]))
        _known(path, name, "named", row["named"], set(own))
    given = table["maturation"] != ""
    mature = _numbers(path, table["maturation"][given])
    if not mature.between(0, 1).all():
        raise InputError(f"{path}: {mature.idxmax()}: maturation is a number from 0 to 1, or empty")
    _check_stages(path, mature, table["lineage"][given])
    table["maturation"] = mature.reindex(table.index)
    for column in ("counts", "counts_sd", *TISSUES):
        table[column] = _numbers(path, table[column])
        least = table[column].min()
        if least < 0 or (least == 0 and column == "counts"):
            raise InputError(f"{path}: {table[column].idxmin()}: {column} {least:g} is too small")
    for tissue in TISSUES:
        if abs(table[tissue].sum() - 1) > 1e-6:
            raise InputError(f"{path}: {tissue} sums to {table[tissue].sum():g}; it would be 1")
    return table


def _read(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table as text and check that it has `columns`."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; it belongs to the demo's resources")
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except ValueError as error:
        line = " ".join(str(error).split())
        raise InputError(f"{path}: not a table ({line}); save it as UTF-8 TSV") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; needed: {', '.join(columns)}")
    return table


def _unique(path: str | Path, table: pd.DataFrame, key: str) -> pd.DataFrame:
    twice = table[key].duplicated()
    if twice.any():
        raise InputError(f"{path}: {key} {table[key][twice].iloc[0]} stands twice; keep one row")
    return table.set_index(key)


def _numbers(path: str | Path, column: pd.Series) -> pd.Series:
    number = pd.to_numeric(column, errors="coerce").astype(float)
    bad = ~np.isfinite(number)
    if bad.any():
        raise InputError(
            f"{path}: {bad.idxmax()}: {column.name} is {column[bad].iloc[0]!r}, not a number"
        )
    return number


def _check_sourced(path: str | Path, table: pd.DataFrame, where: pd.Series) -> None:
    """Check that every row says where it comes from and how far it was verified."""
    for column in ("source", "verification"):
        empty = (table[column].astype(str).str.strip() == "").to_numpy()
        if empty.any():
            raise InputError(f"{path}: {where[empty].iloc[0]}: {column} is empty; say it")


def _check_stages(path: str | Path, mature: pd.Series, lineage: pd.Series) -> None:
    """Check that the types that mature are the stages of one line, which cells lie between."""
    ends = (mature.min(), mature.max()) == (0, 1)
    if len(mature) and not (ends and mature.is_unique and lineage.nunique() == 1):
        told = ", ".join(f"{name} {value:g}" for name, value in mature.items())
        raise InputError(
            f"{path}: maturation: {told}; it would be of one lineage, begin at 0, end at 1 and "
            "differ between cell types"
        )


def _known(
    path: str | Path, name: str, column: str, given: Iterable[str], known: Iterable[str]
) -> None:
    for one in given:
        if one not in known:
            raise InputError(
                f"{path}: {name}: {column} {one!r} is unknown; it would be one of "
                f"{', '.join(sorted(known))}"
            )

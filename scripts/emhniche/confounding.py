"""Could what looks like one column of the sample sheet just as well be another?

A factor is confounded with other columns when adding it to a design of [1 + the others] does not
raise the rank of the matrix: no difference between its arms is then left that the others could not
make. The functions here work on the libraries of one contrast: a table indexed by sample with
``unit`` (a donor in an arm), ``donor``, ``donor_known``, ``test`` (the arm, bool) and the sheet's
columns as text, empty where nothing is recorded.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, combinations

import numpy as np
import pandas as pd

NUISANCES = (
    *("study", "dataset", "chemistry", "batch", "enrichment", "sex", "condition", "tissue"),
    "niche",
)
"""Columns a factor is checked against, those that explain most first."""

_SAME_THING = ({"tissue", "niche"}, {"condition", "arm"}, {"study", "dataset"})


def checkable(rows: pd.DataFrame, factor: str) -> tuple[list[str], list[str]]:
    """Choose the columns that a factor can be checked against.

    Parameters
    ----------
    rows
        Libraries of the contrast.
    factor
        Column that is compared. Another name of the same thing (tissue and niche, condition and
        arm, study and dataset) is no confounder.

    Returns
    -------
    columns
        Those of :data:`NUISANCES` with a record in both arms. A batch that only renames the unit
        (each library a batch of its own) is left out.
    notes
        What is not recorded, in words.
    """
    same = next((things for things in _SAME_THING if factor in things), {factor})
    columns, notes = [], []
    for column in NUISANCES:
        if column in same or column not in rows:
            continue
        filled = rows[column] != ""
        if filled.groupby(rows["test"]).any().all():
            columns.append(column)
        if not filled.all():
            notes.append(f"{column} not recorded for {(~filled).sum()} of {len(filled)} libraries")
    if "batch" in columns and _renames_units(rows, "batch"):
        columns.remove("batch")
    return columns, notes


def confounded(rows: pd.DataFrame, columns: Sequence[str]) -> bool:
    """Tell whether the arms cannot be told from the columns, by the rank of the design.

    Parameters
    ----------
    rows
        Libraries of the contrast. Those without a record in one of the columns are left out.
    columns
        Columns that are taken together.

    Returns
    -------
    bool
        True where [1 + columns + arm] has the rank of [1 + columns].
    """
    rows = rows[(rows[list(columns)] != "").all(axis=1)].assign(arm=rows["test"].astype(str))
    return design_rank(rows, [*columns, "arm"]) == design_rank(rows, columns)


def confounded_together(rows: pd.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the smallest set of columns that together cannot be told from the arms.

    Parameters
    ----------
    rows
        Libraries of the contrast.
    columns
        Columns of which none alone is confounded.

    Returns
    -------
    tuple of str
        Empty when all of them together leave a difference between the arms.
    """
    sets = (combinations(columns, size) for size in range(2, len(columns) + 1))
    for few in chain.from_iterable(sets):
        if overlap(rows, few)["test"].nunique() < 2 or confounded(rows, few):
            return few
    return ()


def overlap(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Keep the libraries whose level of every column is found in both arms.

    Parameters
    ----------
    rows
        Libraries of the contrast.
    columns
        Columns to look at.

    Returns
    -------
    pandas.DataFrame
        The rows that are left, none when no level is shared.
    """
    while True:
        kept = rows
        for column in columns:
            kept = kept[kept.groupby(column)["test"].transform("nunique") == 2]
        if len(kept) == len(rows):
            return kept
        rows = kept


def design_rank(rows: pd.DataFrame, columns: Sequence[str]) -> int:
    """Return the rank of the design [1 + columns].

    Parameters
    ----------
    rows
        Libraries or units.
    columns
        Columns whose levels become indicators.

    Returns
    -------
    int
        Rank of the matrix.
    """
    levels = [pd.get_dummies(rows[column]).to_numpy(dtype=float) for column in columns]
    return int(np.linalg.matrix_rank(np.column_stack([np.ones(len(rows)), *levels])))


def independent_columns(rows: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return an intercept and those indicators of levels that are linearly independent.

    Parameters
    ----------
    rows
        Units.
    columns
        Columns whose levels become indicators.

    Returns
    -------
    numpy.ndarray
        Units x coefficients, of full column rank; the first is the intercept.
    """
    kept = np.ones((len(rows), 1))
    for column in columns:
        for level in sorted(rows[column].unique()):
            wider = np.column_stack([kept, rows[column].to_numpy() == level])
            if np.linalg.matrix_rank(wider) == wider.shape[1]:
                kept = wider
    return kept


def levels_by_arm(rows: pd.DataFrame, column: str) -> tuple[list[str], list[str]]:
    """Return the recorded levels of a column on the test and on the reference side, sorted.

    Parameters
    ----------
    rows
        Libraries of the contrast.
    column
        Column of the sheet.

    Returns
    -------
    tuple of list
        Levels of the test arm, levels of the reference arm.
    """
    sides = (rows.loc[rows["test"], column], rows.loc[~rows["test"], column])
    return tuple(sorted(set(side) - {""}) for side in sides)


def listing(things: Iterable[str], word: str, most: int = 4) -> str:
    """Join names as in a sentence: ``a, b and c``.

    Parameters
    ----------
    things
        Names.
    word
        ``and`` or ``or``.
    most
        Beyond this many names the last ones are counted, not named.

    Returns
    -------
    str
        The names in one phrase, empty for none.
    """
    things = [str(thing) for thing in things]
    if len(things) > most:
        things = [*things[: most - 1], f"{len(things) - most + 1} more"]
        word = "and" if word == "and" else "or one of"
    if len(things) < 2:
        return "".join(things)
    return f"{', '.join(things[:-1])} {word} {things[-1]}"


def _renames_units(rows: pd.DataFrame, column: str) -> bool:
    """Tell whether each level that only one arm has belongs to a single unit."""
    levels = rows.groupby(column)
    single = levels["test"].nunique() == 1
    return bool(single.any() and (levels["unit"].nunique()[single] == 1).all())

"""What does a planted truth change in a library: shares, rates, or a state of some cells?

A plant is one entry of a truth's ``plant`` list (``workflow/schemas/truth.schema.yaml``). It acts
where its ``where`` matches the library, on the cell types and genes that it names, and on nothing
else; the simulator knows no truth but through these functions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from emhniche.errors import InputError
from emhniche.schema import nearest
from emhniche.study import Study
from emhniche.truths import not_asked


@dataclass(frozen=True)
class State:
    """A state that a share of the cells of some types takes on in a library.

    Attributes
    ----------
    truth
        Id of the truth that planted it.
    cell_types
        Types whose cells may carry it.
    share
        Probability that a cell does.
    fold
        Gene -> factor on its rate in a cell that does.
    """

    truth: str
    cell_types: tuple[str, ...]
    share: float
    fold: Mapping[str, float]


def matches(where: Mapping[str, str], library: Mapping[str, str]) -> bool:
    """Tell whether a library has every value that `where` names.

    Parameters
    ----------
    where
        Column of the sample sheet -> value; empty matches every library.
    library
        One row of the sample sheet.

    Returns
    -------
    bool
    """
    return all(str(library[column]) == value for column, value in where.items())


def planted(truths: Iterable, kind: str, library: Mapping[str, str]) -> list[tuple[str, Mapping]]:
    """Return the plants of a kind that act in a library.

    Parameters
    ----------
    truths
        Truths with ``id`` and ``plant``; see :func:`emhniche.truths.load_truths`.
    kind
        ``expression``, ``abundance``, ``state`` or ``silence``.
    library
        One row of the sample sheet.

    Returns
    -------
    list of (str, Mapping)
        Id of the truth, and the plant.
    """
    return [
        (truth.id, plant)
        for truth in truths
        for plant in truth.plant
        if plant["kind"] == kind and matches(plant.get("where", {}), library)
    ]


def plant_shares(shares: pd.Series, truths: Iterable, library: Mapping[str, str]) -> pd.Series:
    """Apply the planted changes of abundance.

    Parameters
    ----------
    shares
        Cell type -> share of cells, without any effect. A planted type that is not among them is
        none of this tissue, and is left out.
    truths, library
        As in :func:`planted`.

    Returns
    -------
    pandas.Series
        Shares that sum to 1: each type's share times its folds, over their sum.
    """
    shares = shares.astype(float).copy()
    for _, plant in planted(truths, "abundance", library):
        shares[shares.index.intersection(plant["cell_types"])] *= plant["fold"]
    return shares / shares.sum()


def plant_rates(rates: pd.DataFrame, truths: Iterable, library: Mapping[str, str]) -> pd.DataFrame:
    """Apply the planted changes of expression, and silence what is to be below detection.

    Parameters
    ----------
    rates
        Genes x cell types: share of a cell's counts.
    truths, library
        As in :func:`planted`.

    Returns
    -------
    pandas.DataFrame
        The same, with the rates of the planted genes changed. Other rates stay as they are.
    """
    rates = rates.copy()
    for _, plant in planted(truths, "expression", library):
        rates.loc[list(plant["genes"]), list(plant["cell_types"])] *= 2.0 ** plant["log2_fold"]
    for _, plant in planted(truths, "silence", library):
        rates.loc[list(plant["genes"])] = 0.0
    return rates


def planted_states(truths: Iterable, library: Mapping[str, str]) -> list[State]:
    """Return the states that cells of a library may carry.

    Parameters
    ----------
    truths, library
        As in :func:`planted`.

    Returns
    -------
    list of State
    """
    return [
        State(
            truth,
            tuple(plant["cell_types"]),
            plant["share"],
            dict.fromkeys(plant["genes"], 2.0 ** plant["log2_fold"]),
        )
        for truth, plant in planted(truths, "state", library)
    ]


def check_plants(
    truths: Iterable, cell_types: Iterable[str], genes: Iterable[str], path: str
) -> None:
    """Raise when a plant names a cell type or gene that is not simulated.

    Parameters
    ----------
    truths
        As in :func:`planted`.
    cell_types, genes
        What is simulated.
    path
        File of the truths, for the message.

    Raises
    ------
    InputError
        At the first unknown name.
    """
    known = {"cell_types": list(cell_types), "genes": list(genes)}
    sets = {key: set(names) for key, names in known.items()}
    for truth in truths:
        for position, plant in enumerate(truth.plant):
            for key, names in sets.items():
                for name in plant.get(key, ()):
                    if name not in names:
                        raise InputError(
                            f"{path}: truth '{truth.id}': plant[{position}].{key}: '{name}' is not "
                            f"simulated; {_hint(name, known[key])}"
                        )


def check_places(truths: Iterable, study: Study, cell_types: pd.DataFrame, path: str) -> None:
    """Raise when a study is asked for a truth that could be planted in none of its libraries.

    Parameters
    ----------
    truths
        As in :func:`planted`, of names that :func:`check_plants` knows.
    study
        The simulated study.
    cell_types
        Indexed by cell type, with a column of shares for each of ``marrow`` and ``spleen``.
    path
        File of the truths, for the message.

    Raises
    ------
    InputError
        At the first plant whose ``where`` or cell types no library has. A truth is left alone where
        ``when`` keeps all of its expectations from being asked.
    """
    libraries = study.rows(file="")
    for truth in truths:
        if all(not_asked(expected, study) for expected in truth.expect):
            continue
        for position, plant in enumerate(truth.plant):
            here = f"{path}: truth '{truth.id}': plant[{position}]"
            where, names = plant.get("where", {}), list(plant.get("cell_types", ()))
            for column, value in where.items():
                known = dict.fromkeys(row[column] for row in libraries)
                if value not in known:
                    raise InputError(
                        f"{here}.where.{column}: no library of {study.path} is '{value}', so that "
                        f"nothing would be planted; {nearest(value, known)}"
                    )
            tissues = {row["tissue"].split()[-1] for row in libraries if matches(where, row)}
            if names and not (cell_types.loc[names, sorted(tissues)] > 0).any(axis=None):
                raise InputError(
                    f"{here}.cell_types: no library that it is planted in holds "
                    f"{' or '.join(names)}; name cell types of the {' or '.join(sorted(tissues))}"
                )


def without_effects(truths: Iterable) -> list:
    """Return the truths with every planted difference left out, for a cohort where nothing differs.

    Parameters
    ----------
    truths
        As in :func:`planted`.

    Returns
    -------
    list
        The same truths with only their ``silence`` plants, which no arm differs by.
    """
    return [
        replace(truth, plant=tuple(one for one in truth.plant if one["kind"] == "silence"))
        for truth in truths
    ]


def _hint(name: str, known: list[str]) -> str:
    """Say what could have been meant, without listing thousands of genes."""
    hint = nearest(name, known)
    return hint if hint.startswith("did") or len(known) < 50 else "name a gene of the profiles"

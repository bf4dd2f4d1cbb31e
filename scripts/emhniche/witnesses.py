"""Which donors can bear witness for or against a pathological subset, and when is there none?

A call compares case donors with reference donors. This module says which donors count, and gives
each reason why a comparison must be refused: a code for programs and a sentence for people.
"""

from dataclasses import dataclass

import pandas as pd

from emhniche.errors import InputError

REFERENCE, CONTROL, CASE = "reference", "inflammation_control", "case"
ARMS = ("", REFERENCE, CONTROL, CASE)

UNKNOWN = "unknown:"
"""What the name of a donor begins with when the sample sheet does not name one."""

FEW_DONORS = 4
"""Below this number of donors in an arm a result carries a warning."""

FEW_CELLS = 60
"""Below this number of cells a donor's share is coarse, and the result carries a warning."""


@dataclass(frozen=True)
class Refusal:
    """Why no cell is called.

    Attributes
    ----------
    code
        One word that programs can test.
    sentence
        One sentence for the reader.
    """

    code: str
    sentence: str


def donor_table(donor: pd.Series, arm: pd.Series, *, min_cells: int) -> pd.DataFrame:
    """List the donors with their part in the comparison.

    Parameters
    ----------
    donor
        Donor of each cell; empty, missing or starting ``unknown:`` where not known.
    arm
        ``reference``, ``inflammation_control``, ``case`` or empty, of each cell.
    min_cells
        Cells that a donor needs to count.

    Returns
    -------
    pandas.DataFrame
        Indexed and sorted by donor: ``arm``, ``cells``, ``role`` (its arm, or empty where the donor
        does not count) and ``reason`` (why it does not).

    Raises
    ------
    InputError
        When an arm has an unknown name.
    """
    strange = sorted(set(arm) - set(ARMS))
    if strange:
        raise InputError(
            f"arm: {strange[0]!r} is unknown; it would be one of reference, inflammation_control, "
            "case or empty"
        )
    groups = arm.groupby(donor.to_numpy(), sort=True)
    table = pd.DataFrame(
        {
            "arm": groups.agg(lambda values: ";".join(sorted(set(values) - {""}))),
            "cells": groups.size(),
        }
    )
    table.index.name = "donor"
    table["reason"] = ""
    for name, row in table.iterrows():
        if name == "" or name.startswith(UNKNOWN):
            table.loc[name, "reason"] = "the donor is not known"
        elif row["arm"] == "":
            table.loc[name, "reason"] = "the sample sheet gives no arm"
        elif ";" in row["arm"]:
            table.loc[name, "reason"] = "cells in more than one arm"
        elif row["cells"] < min_cells:
            table.loc[name, "reason"] = f"{row['cells']} cells of the lineage, {min_cells} needed"
    table["role"] = table["arm"].where(table["reason"] == "", "")
    return table


def design_refusals(
    donors: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    min_donors: int,
    elsewhere: Refusal | None = None,
) -> list[Refusal]:
    """List all reasons why the arms cannot be compared, the gravest first.

    Parameters
    ----------
    donors
        As :func:`donor_table` returns it.
    cells
        One row a cell: ``donor``, ``arm`` and, where known, ``tissue``, ``platform``, ``batch``.
    min_donors
        Donors needed in the reference and in the case arm.
    elsewhere
        What to say instead of `no_reference_arm` when reference cells exist outside this group.

    Returns
    -------
    list of Refusal
        Empty when the arms can be compared.
    """
    found = []
    arms = set(cells["arm"])
    split = [name for name, row in donors.iterrows() if ";" in row["arm"]]
    if split:
        found.append(
            Refusal(
                "donor_in_two_arms",
                f"Donor {split[0]} has cells in more than one arm, so it cannot be a unit of one.",
            )
        )
    if REFERENCE not in arms:
        found.append(
            elsewhere
            or Refusal(
                "no_reference_arm", "No cell here comes from a reference arm of naive donors."
            )
        )
    found += _count_refusal(donors, REFERENCE, "reference", min_donors)
    if CASE not in arms:
        found.append(Refusal("no_case_arm", "No cell here comes from the case arm."))
    found += _count_refusal(donors, CASE, "case", min_donors)
    if REFERENCE in arms and CASE in arms:
        found += _origin_refusals(cells)
        found += _batch_refusals(cells)
    return found


def reference_elsewhere(
    run: pd.DataFrame, cells: pd.DataFrame, *, dataset: str, tissue: str, min_cells: int
) -> Refusal | None:
    """Say that reference cells exist, but of another study or tissue than the case cells.

    Parameters
    ----------
    run
        All cells of the lineage: ``dataset``, ``tissue``, ``arm``.
    cells
        Those of `dataset` and `tissue`.
    dataset, tissue
        Where the case cells are from.
    min_cells
        Reference cells elsewhere that are worth a word.

    Returns
    -------
    Refusal or None
        None where the group has reference cells or no case cells, or none exist elsewhere.
    """
    if CASE not in set(cells["arm"]) or REFERENCE in set(cells["arm"]):
        return None
    others = run[run["arm"] == REFERENCE]
    same_tissue = others[others["tissue"] == tissue]
    if len(same_tissue) >= min_cells:
        return Refusal(
            "reference_other_platform",
            f"Reference cells of {tissue} exist only in other datasets "
            f"({_list(set(same_tissue['dataset']))}), so arm and study cannot be told apart.",
        )
    same_dataset = others[others["dataset"] == dataset]
    if len(same_dataset) >= min_cells:
        return Refusal(
            "reference_other_tissue",
            "Reference cells of this dataset are of other tissues "
            f"({_list(set(same_dataset['tissue']))}), so arm and tissue cannot be told apart.",
        )
    return None


def design_warnings(donors: pd.DataFrame) -> list[str]:
    """Say what weakens a comparison that can be made."""
    found = []
    for arm, word in ((REFERENCE, "reference"), (CASE, "case")):
        count = int((donors["role"] == arm).sum())
        if count < FEW_DONORS:
            found.append(f"only {count} {word} donors")
    thin = donors[(donors["role"] != "") & (donors["cells"] < FEW_CELLS)]
    if len(thin):
        found.append(f"fewer than {FEW_CELLS} cells in {', '.join(thin.index)}")
    return found


def _count_refusal(donors: pd.DataFrame, arm: str, word: str, min_donors: int) -> list[Refusal]:
    """Refuse an arm with too few donors that count, and say what the others lack."""
    of_arm = donors[donors["arm"].str.split(";").map(lambda names: arm in names)]
    counted = int((donors["role"] == arm).sum())
    if of_arm.empty or counted >= min_donors:
        return []
    lacking = of_arm[of_arm["role"] == ""].reset_index().groupby("reason", sort=True)["donor"]
    why = "".join(f"; {_few(list(names))}: {reason}" for reason, names in lacking)
    donor = "donor counts" if counted == 1 else "donors count"
    return [
        Refusal(
            f"too_few_{word}_donors",
            f"{counted} {word} {donor}, at least {min_donors} are needed to see how donors "
            f"differ{why}.",
        )
    ]


def _few(names: list[str]) -> str:
    """Name up to three, and count the others."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _origin_refusals(cells: pd.DataFrame) -> list[Refusal]:
    """Refuse a reference of another tissue or platform than the cases."""
    found = []
    for column in ("tissue", "platform"):
        if column not in cells:
            continue
        case = set(cells.loc[cells["arm"] == CASE, column])
        reference = set(cells.loc[cells["arm"] == REFERENCE, column])
        if case != reference:
            found.append(
                Refusal(
                    f"reference_other_{column}",
                    f"Case cells are of {column} {_list(case)} but reference cells of "
                    f"{_list(reference)}, so arm and {column} cannot be told apart.",
                )
            )
    return found


def _batch_refusals(cells: pd.DataFrame) -> list[Refusal]:
    """Refuse arms that share no batch, unless every batch is one donor's own."""
    if "batch" not in cells:
        return []
    compared = cells[cells["arm"].isin([REFERENCE, CASE])]
    batches = compared.groupby("batch", sort=True).agg(
        donors=("donor", "nunique"), arms=("arm", "nunique")
    )
    if (batches["arms"] > 1).any() or (batches["donors"] == 1).all():
        return []
    shared = batches.index[batches["donors"] > 1][0]
    return [
        Refusal(
            "arm_aliased_with_batch",
            f"No batch holds reference and case donors (batch {shared} holds several of one arm), "
            "so arm and batch cannot be told apart.",
        )
    ]


def _list(values: set) -> str:
    return ", ".join(str(value) or "(unknown)" for value in sorted(values, key=str))

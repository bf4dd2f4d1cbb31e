"""What do the readings of an axis say together, and which of them cannot be had?

One number misleads: a ligand may rise where nobody can hear it, a receptor may rise without a
ligand, and a response may have another cause. So each axis of each contrast gets four rows:
``production`` (ligands, in any cell type), ``reception`` (receptors of stem and progenitor cells,
of the cells they make and of myeloid cells), ``restraint`` (antagonists and decoys, which never
count for the axis) and ``response`` (genes that the signal switches on). Nothing is tested here:
the rows are those of ``contrasts.tsv`` and ``responses.tsv``, put side by side.
"""

import numpy as np
import pandas as pd

Q_LEVEL = 0.10
"""Tested differences at or below this false discovery rate are named, where the interval of their
size does not hold 0."""

READINGS = {
    "production": ("ligand", "adhesion_ligand"),
    "reception": ("receptor", "coreceptor", "adhesion_receptor"),
    "restraint": ("antagonist", "decoy", "decoy_receptor", "inhibitory_receptor"),
}
"""Roles of the panel that each reading of expression takes."""

RESPONSE = "response"

RECEIVERS = (
    *("HSPC", "erythroid", "megakaryocyte", "mast_basophil", "eosinophil"),
    *("neutrophil", "monocyte_macrophage", "DC"),
)
"""Lineages whose receptors are read."""

COLUMNS = (
    *("contrast", "axis", "tier", "reading", "n_rows", "n_tested", "n_up", "n_down", "direction"),
    *("name", "cell_type", "effect", "ci_low", "ci_high", "q", "status", "reason", "caution"),
)

STATUSES = ("tested", "effect_only", "not_identifiable", "not_testable")
"""From what says most to what says nothing: a reading has the first that any of its rows has."""


def read_axes(
    contrasts: pd.DataFrame, responses: pd.DataFrame, lineage_of: pd.Series
) -> pd.DataFrame:
    """Put the readings of every axis side by side.

    Parameters
    ----------
    contrasts
        ``niche/contrasts.tsv``; its rows of level ``cell_type`` are read.
    responses
        ``niche/responses.tsv``, likewise.
    lineage_of
        Lineage of each cell type.

    Returns
    -------
    pandas.DataFrame
        ``niche/axes.tsv``; ``docs/niche.md`` explains the columns. A reading of which the panel
        holds no gene has no row.
    """
    genes = contrasts[contrasts["level"] == "cell_type"].rename(columns={"gene": "name"})
    # a gene of the extended tier does not speak for a core axis
    core = set(genes.loc[genes["tier"] == "core", "axis"])
    genes = genes[(genes["tier"] == "core") | ~genes["axis"].isin(core)]
    # an axis without a set of genes has a row that says so, of no cell type
    heard = responses[(responses["level"] == "cell_type") | responses["set"].fillna("").eq("")]
    heard = heard.rename(columns={"set": "name"})
    receiving = genes["cell_type"].map(lineage_of).isin(RECEIVERS)
    rows = []
    for (contrast, axis), part in genes.groupby(["contrast", "axis"], sort=True):
        key = {"contrast": contrast, "axis": axis, "tier": part["tier"].iloc[0]}
        for reading, roles in READINGS.items():
            chosen = part[part["role"].isin(roles)]
            if reading == "reception":
                chosen = chosen[receiving[chosen.index]]
            if len(chosen):
                rows.append(key | {"reading": reading} | _sum_up(chosen))
        of_contrast = heard[heard["contrast"] == contrast]
        chosen = of_contrast[(of_contrast["axis"] == axis) & (of_contrast["kind"] == RESPONSE)]
        if len(chosen):
            found = _sum_up(chosen)
            controls = of_contrast[of_contrast["kind"] == "control"]
            rows.append(key | {"reading": RESPONSE} | found | _caution(found, controls))
    table = pd.DataFrame(rows, columns=[*COLUMNS])
    counts = ["n_rows", "n_tested", "n_up", "n_down"]
    return table.astype(dict.fromkeys(counts, "Int64")).sort_values(
        ["contrast", "tier", "axis"], kind="stable", ignore_index=True
    )


def differs(rows: pd.DataFrame) -> pd.Series:
    """Tell the rows that may be named.

    Parameters
    ----------
    rows
        ``status``, ``q``, ``ci_low`` and ``ci_high`` of comparisons.

    Returns
    -------
    pandas.Series
        Bool: tested, q at or below :data:`Q_LEVEL`, and an interval on one side of 0. Where counts
        are few a test may be clear about the direction and the interval not about the size.
    """
    one_side = (rows["ci_low"] > 0) | (rows["ci_high"] < 0)
    return (rows["status"] == "tested") & (rows["q"] <= Q_LEVEL) & one_side


def _sum_up(rows: pd.DataFrame) -> dict:
    """Say of the rows of one reading how many differ, which way, and which is the clearest."""
    found = rows["status"].astype(str)
    status = next((one for one in STATUSES if (found == one).any()), STATUSES[-1])
    same = rows[found == status]
    result = {"n_rows": len(rows), "n_tested": int((found == "tested").sum()), "status": status}
    if status == "tested":
        differ = same[differs(same)]
        up, down = int((differ["effect"] > 0).sum()), int((differ["effect"] < 0).sum())
        result |= {"n_up": up, "n_down": down, "direction": _direction(up, down)}
        return result | _named(differ.sort_values("q", kind="stable"))
    reasons = same["reason"].fillna("").astype(str)
    result["reason"] = reasons.mode().iloc[0] if len(reasons) else ""
    size = same["effect"].abs().sort_values(ascending=False, kind="stable")
    return result | _named(same.loc[size.dropna().index])


def _direction(up: int, down: int) -> str:
    if up and down:
        return "both"
    return "up" if up else "down" if down else "none"


def _named(rows: pd.DataFrame) -> dict:
    """Return what the first row is and its size, or nothing."""
    if rows.empty:
        return {}
    keys = ["name", "cell_type", "effect", "ci_low", "ci_high", "q"]
    return rows.iloc[0].reindex(keys).replace({np.nan: None}).dropna().to_dict()


def _caution(found: dict, controls: pd.DataFrame) -> dict:
    """Name the controls that move the same way in the cells that a response is named in."""
    if found.get("direction") not in ("up", "down", "both") or "effect" not in found:
        return {}
    same_way = np.sign(controls["effect"]) == np.sign(found["effect"])
    moved = controls[(controls["cell_type"] == found["cell_type"]) & differs(controls) & same_way]
    names = sorted(set(moved["name"]))
    return {"caution": f"{', '.join(names)} moves the same way there"} if names else {}

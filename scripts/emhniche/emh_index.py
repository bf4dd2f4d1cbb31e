"""How much blood does an extramedullary tissue make, against the same tissue at rest?

In each library the odds of four kinds of cells (cells of the kind to all others) tell of blood
being made there: stem and progenitor cells, erythroid cells, megakaryocytes, and neutrophil
precursors (mature neutrophils arrive by the blood). Each is compared, on the log2 scale, with the
mean of the reference donors of the same tissue and dataset; the EMH index is the mean of those
that can be read. How many progenitors divide is told beside it. Donors are the units, and only
libraries that were not sorted have frequencies at all.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emhniche.audits import Audit, design_matrix
from emhniche.io import CELL_ID
from emhniche.moderation import adjust, interval, moderated_test
from emhniche.pseudobulk import Pseudobulk

BRANCHES = {
    "hspc": ("lineage", ("HSPC",)),
    "erythroid": ("lineage", ("erythroid",)),
    "megakaryocyte": ("lineage", ("megakaryocyte",)),
    "neutrophil_precursor": ("cell_type", ("proNeu", "preNeu")),
}
"""Kinds of cells that are made where they are found: the level they are named at, and the names."""

CYCLING = {"cycling_hspc": "HSPC", "cycling_erythroid": "erythroid"}
"""Share of dividing cells: its name, and the lineage it is read in."""

CYCLE_SETS = ("CellCycle_S", "CellCycle_G2M")
"""Signatures that tell dividing cells; a cell above `CYCLE_Z` in either divides."""

CYCLE_Z = 2.0

MEASURES = ("emh_index", *BRANCHES, *CYCLING)
"""What arms are compared in: log2 odds against steady state, and shares of dividing cells."""

COLUMNS = (
    *("unit", "samples", "donor", "condition", "arm", "tissue", "dataset", "n_cells"),
    *(f"fraction_{name}" for name in BRANCHES),
    *("steady_units", *(f"log2_{name}" for name in BRANCHES), "n_branches", "emh_index"),
    *("cells_hspc", "cycling_hspc", "steady_cycling_hspc", "cells_erythroid"),
    *("cycling_erythroid", "steady_cycling_erythroid", "status", "reason"),
)

CONTRAST_COLUMNS = (
    *("contrast", "measure", "units_test", "units_reference", "mean_test", "mean_reference"),
    *("effect", "ci_low", "ci_high", "p", "q", "status", "reason"),
)

TOO_FEW = "too few cells of the kind, or beside it"
"""Why units that have an index lack one of its branches, or a share of dividing cells."""

_PRIOR_CELLS = 0.5
_PLACE = ["tissue", "dataset"]


def index_units(
    bulk: Pseudobulk,
    obs: pd.DataFrame,
    annotation: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    min_cells: int,
    min_units: int,
) -> pd.DataFrame:
    """Measure how much blood each extramedullary unit makes.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    obs
        ``sample`` of each cell, indexed by ``cell_id``.
    annotation
        ``cell_id`` and ``lineage``.
    scores
        ``score/scores.parquet``, of which the z of the cell cycle sets is read.
    min_cells
        Cells that a unit needs in all, and of a lineage for its share of dividing cells. A branch
        with fewer cells over all units of the place, or with fewer other cells beside it, cannot
        be read.
    min_units
        Known reference donors that make a steady state.

    Returns
    -------
    pandas.DataFrame
        ``niche/emh_index.tsv``; ``docs/signals.md`` explains the columns.
    """
    libraries = _libraries(bulk)
    if libraries.empty:
        return pd.DataFrame(columns=[*COLUMNS])
    cycling = _cycling(bulk, obs, annotation, scores)
    parts = [libraries, _count(bulk, libraries.index), cycling.reindex(libraries.index)]
    units = _sum_libraries(pd.concat(parts, axis=1))
    places = units.groupby(_PLACE, sort=True, group_keys=False)
    table = pd.concat([_against_rest(part.copy(), min_cells, min_units) for _, part in places])
    table = table.sort_values([*_PLACE, "condition", "unit"], ignore_index=True)
    return table.reindex(columns=[*COLUMNS])


def compare_index(
    units: pd.DataFrame, audits: Sequence[Audit], frequencies: Sequence[Audit], *, min_units: int
) -> pd.DataFrame:
    """Compare the index, its branches and dividing cells between extramedullary arms.

    Parameters
    ----------
    units
        See :func:`index_units`.
    audits, frequencies
        What each contrast allows, and what it allows for frequencies.
    min_units
        Known donors that each arm needs for a p-value.

    Returns
    -------
    pandas.DataFrame
        ``niche/emh_contrasts.tsv``, one row a contrast and measure, of contrasts whose arms are
        both extramedullary. ``q`` is Benjamini-Hochberg over the tested rows of a contrast.
    """
    rows = []
    for audit, frequency in zip(audits, frequencies, strict=True):
        if audit.verdict == "not_testable":
            continue
        if "niche" in audit.samples and (audit.samples["niche"] != "extramedullary").any():
            continue
        values, several = _values(units, frequency)
        for name in MEASURES:
            row = _compare(values[name], name, frequency, min_units)
            if several:
                row = _refused(row)
            elif not min(row["units_test"], row["units_reference"]):
                row |= _unmeasured(units, row, frequency)
            rows.append(row)
    table = pd.DataFrame(rows, columns=[*CONTRAST_COLUMNS])
    table["q"] = table.groupby("contrast")["p"].transform(lambda p: adjust(p.to_numpy(dtype=float)))
    return table


def _logs() -> list[str]:
    return [f"log2_{name}" for name in BRANCHES]


def _libraries(bulk: Pseudobulk) -> pd.DataFrame:
    """Return the extramedullary libraries, with the unit that each belongs to."""
    samples = bulk.samples
    chosen = samples[samples["niche"].astype(str) == "extramedullary"]
    columns = ["donor", "donor_known", "condition", "arm", "tissue", "dataset", "enrichment"]
    table = chosen.reindex(columns=columns)
    known = table["donor_known"].fillna(False).astype(bool)
    table = table.drop(columns="donor_known").astype(object).where(lambda t: t.notna(), "")
    table = table.astype(str).assign(donor_known=known)
    names = ["donor", "condition", "arm", "tissue", "dataset"]
    parts = table[names].replace("", "-").itertuples(index=False)
    table["unit"] = pd.Series([" | ".join(part) for part in parts], table.index, dtype=object)
    return table


def _count(bulk: Pseudobulk, samples: pd.Index) -> pd.DataFrame:
    """Count all cells of each library, and those of each branch."""
    groups = bulk.groups[bulk.groups["sample"].isin(samples)]
    table = groups.groupby("sample")["n_cells"].sum().to_frame()
    for name, (level, kinds) in BRANCHES.items():
        chosen = groups[groups[level].isin(kinds)]
        table[f"held_{name}"] = chosen.groupby("sample")["n_cells"].sum()
    return table.fillna(0).astype(int).reindex(samples, fill_value=0)


def _cycling(
    bulk: Pseudobulk, obs: pd.DataFrame, annotation: pd.DataFrame, scores: pd.DataFrame
) -> pd.DataFrame:
    """Count the cells of the lineages of :data:`CYCLING` that could be judged, and that divide."""
    columns = [f"{name}__z" for name in CYCLE_SETS if f"{name}__z" in scores]
    table = pd.DataFrame(index=bulk.samples.index)
    if not columns:
        return table.assign(**{f"{what}_{name}": 0 for name in CYCLING for what in ("of", "in")})
    z = scores.set_index(CELL_ID)[columns].reindex(obs.index)
    judged = z.notna().any(axis=1)
    divides = (z > CYCLE_Z).any(axis=1)
    lineage = annotation.set_index(CELL_ID)["lineage"].reindex(obs.index).astype(str)
    sample = obs["sample"].astype(str)
    for name, of in CYCLING.items():
        here = (lineage == of) & judged
        table[f"of_{name}"] = sample[here].value_counts()
        table[f"in_{name}"] = sample[here & divides].value_counts()
    return table.fillna(0).astype(int)


def _sum_libraries(libraries: pd.DataFrame) -> pd.DataFrame:
    """Sum the libraries of each unit: the unsorted ones, and sorted ones where all are sorted."""
    keys = ["unit", "donor", "donor_known", "condition", "arm", *_PLACE]
    held = [name for name in libraries if name.startswith(("held_", "of_", "in_"))]
    libraries = libraries.assign(
        samples=libraries.index, sorted=~libraries["enrichment"].isin(["none", ""])
    )
    gated = libraries.groupby("unit")["sorted"].transform("all")
    libraries = libraries[~libraries["sorted"] | gated]
    how = {"samples": ";".join, "sorted": "any", "n_cells": "sum"}
    return libraries.groupby(keys).agg(how | dict.fromkeys(held, "sum")).reset_index()


def _against_rest(units: pd.DataFrame, min_cells: int, min_units: int) -> pd.DataFrame:
    """Compare the units of one tissue and dataset with its reference donors."""
    enough = (units["n_cells"] >= min_cells) & ~units["sorted"]
    rest = enough & (units["arm"] == "reference") & units["donor_known"]
    whole = units["n_cells"]
    for name in BRANCHES:
        held = units[f"held_{name}"]
        units[f"fraction_{name}"] = (held / whole).where(enough)
        odds = np.log2((held + _PRIOR_CELLS) / (whole - held + _PRIOR_CELLS)).where(enough)
        # of a kind that is all of the tissue the odds would count the cells that were caught
        seen = min(held[enough].sum(), (whole - held)[enough].sum()) >= min_cells
        units[f"log2_{name}"] = (odds - odds[rest].mean()).round(12) + 0.0 if seen else np.nan
    for name, lineage in (("cycling_hspc", "hspc"), ("cycling_erythroid", "erythroid")):
        judged = units[f"of_{name}"]
        units[f"cells_{lineage}"] = judged
        units[name] = (units[f"in_{name}"] / judged).where(enough & (judged >= min_cells))
        units[f"steady_{name}"] = units.loc[rest, name].mean()
    logs = units[_logs()]
    units["steady_units"] = int(rest.sum())
    units["n_branches"] = logs.notna().sum(axis=1)
    units["emh_index"] = logs.mean(axis=1)
    units["status"], units["reason"] = _verdict(
        units, enough, int(rest.sum()), min_cells, min_units
    )
    units.loc[units["status"] == "not_testable", [*_logs(), "emh_index"]] = np.nan
    return units


def _verdict(
    units: pd.DataFrame, enough: pd.Series, resting: int, min_cells: int, min_units: int
) -> tuple[np.ndarray, np.ndarray]:
    """Say of each unit whether its index can be read."""
    place = f"{units['tissue'].iloc[0]} of {units['dataset'].iloc[0]}"
    few = f"{resting} reference donors of {place}, {min_units} make a steady state"
    unread = f"no branch has {min_cells} cells, and {min_cells} others beside it, in {place}"
    table = [
        (units["sorted"], "not_identifiable", "sorted or enriched: the gate set the frequencies"),
        (~enough, "not_testable", f"fewer than {min_cells} cells"),
        (resting == 0, "not_testable", f"no reference donor of {place}: nothing to compare with"),
        (units["n_branches"] == 0, "not_testable", unread),
        (resting < min_units, "effect_only", few),
    ]
    status = np.full(len(units), "described", dtype=object)
    reason = np.full(len(units), "", dtype=object)
    for failing, name, why in reversed(table):
        hit = np.broadcast_to(np.asarray(failing), len(units))
        status, reason = np.where(hit, name, status), np.where(hit, why, reason)
    return status, reason


def _values(units: pd.DataFrame, audit: Audit) -> tuple[pd.DataFrame, bool]:
    """Return the measures of each unit of a contrast, and whether one has several to choose from.

    Index units are told apart by tissue and dataset, those of a contrast are not: a donor whose
    spleen and liver were both taken is one of them.
    """
    sheet = audit.samples
    of_sample = units.assign(sample=units["samples"].str.split(";")).explode("sample")
    of_sample = of_sample.set_index("sample").reindex(sheet.index)
    measured = of_sample[["emh_index", *_logs(), *CYCLING]]
    read = of_sample.loc[measured.notna().any(axis=1), "unit"]
    several = read.groupby(sheet["unit"]).nunique().max() > 1
    values = measured.groupby(sheet["unit"]).first()
    return values.rename(columns={f"log2_{name}": name for name in BRANCHES}), bool(several)


def _refused(row: dict) -> dict:
    """Return a row without numbers: which library of a donor counts would be chance."""
    kept = {name: row[name] for name in ("contrast", "measure", "units_test", "units_reference")}
    why = "a donor's libraries are of several tissues or datasets; give the contrast a subset"
    return kept | {"status": "not_testable", "reason": why}


def _unmeasured(units: pd.DataFrame, row: dict, audit: Audit) -> dict:
    """Say which arm has no unit with a measure, and why: by the audit, or by its units."""
    test = audit.samples["test"].astype(bool)
    sides = {audit.test: (test, "units_test"), audit.reference: (~test, "units_reference")}
    empty = {level: side for level, (side, n) in sides.items() if not row[n]}
    if not all(side.any() for side in empty.values()):
        # all libraries of an arm were sorted
        return {"status": audit.verdict, "reason": audit.reason}
    own = units.assign(sample=units["samples"].str.split(";")).explode("sample").set_index("sample")
    own = own.loc[[sample for side in empty.values() for sample in test.index[side]]]
    mute = own["fraction_hspc" if row["measure"] in CYCLING else "emh_index"].isna()
    why = [*own.loc[mute, "reason"].unique(), *([] if mute.all() else [TOO_FEW])]
    told = f"no {' or '.join(empty)} unit could be measured ({'; '.join(why)})"
    return {"status": "not_testable", "reason": told}


def _compare(values: pd.Series, measure: str, audit: Audit, min_units: int) -> dict:
    """Return one row: a measure between the arms of one contrast; no more where an arm is empty."""
    units = audit.units.loc[values.index]
    known = values.notna()
    side = units["test"].to_numpy(dtype=bool)
    arms = [values[known & here].to_numpy() for here in (side, ~side)]
    row = {
        **{"contrast": audit.name, "measure": measure},
        **{"units_test": len(arms[0]), "units_reference": len(arms[1])},
    }
    if not min(map(len, arms)):
        return row
    row |= {"mean_test": arms[0].mean(), "mean_reference": round(arms[1].mean(), 12) + 0.0}
    row |= {"effect": row["mean_test"] - row["mean_reference"]}
    row |= {"status": audit.verdict, "reason": audit.reason.split(":")[0].split(";")[0]}
    if audit.verdict == "tested":
        matrix, why_not = design_matrix(units[known], audit.blocks, min_units=min_units)
        if matrix is not None:
            found = moderated_test(values[matrix.index].to_numpy()[:, None], matrix.to_numpy())
            numbers = zip(("effect", "ci_low", "ci_high", "p"), found, strict=True)
            return row | {key: float(value[0]) for key, value in numbers} | {"reason": ""}
        row |= {"status": "effect_only", "reason": why_not}
    if row["status"] == "effect_only" and units.loc[known, "donor_known"].all():
        row["ci_low"], row["ci_high"] = interval(*arms)
    return row

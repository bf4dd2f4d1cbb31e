"""What are the called cells: how mature, how frequent in each donor, and marked by which genes?

Called cells of one gate are grouped by maturation and activation. A subset is described with donors
as units, and compared between an extramedullary site and the marrow of the same donors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from emhniche.assessment import Assessment
from emhniche.donor_markers import donor_markers, sum_by_donor
from emhniche.lineage_cells import CONFOUNDERS, LineageCells, positive_genes
from emhniche.residual import balanced_weights, gene_rates, standardised
from emhniche.verdict import label
from emhniche.witnesses import CASE, REFERENCE

SUBSET_COLUMNS = [
    *("subset", "lineage", "tissue", "cells", "units", "fraction", "markers", "evidence", "status"),
    *("dataset", "signature", "state", "fraction_per_unit", "marrow_donors", "marrow_difference"),
    *("marrow_status", "markers_per_unit", "marker_units"),
]

MARROW = "bone marrow"

EVERY = "all"
"""State of the row that holds all called cells of a gate."""

ACTIVATED = 0.95
"""A cell is activated when its immediate-early or interferon score exceeds this quantile of naive
cells."""


def find_subsets(
    assessed: Sequence[tuple[dict, Assessment]],
    calls: pd.DataFrame,
    gates: pd.DataFrame,
    parts: Mapping[tuple[str, str, str], LineageCells],
    signatures: pd.DataFrame,
) -> pd.DataFrame:
    """Describe the called cells of every gate that called any.

    Parameters
    ----------
    assessed
        Key (``dataset``, ``tissue``, ``lineage``, ``signature``) and assessment of each gate.
    calls
        One row a cell and signature.
    gates
        One row a gate, in the order of `assessed`.
    parts
        Cells of each dataset, tissue and lineage that could be compared.
    signatures
        Gene sets; immediate-early and interferon genes tell activation.

    Returns
    -------
    pandas.DataFrame
        One row for all called cells of a gate and one a state of them, with the columns of
        `SUBSET_COLUMNS`; none where nothing was called.
    """
    called_cells = calls[calls["pathological"].fillna(False)]
    states, rows = {}, []
    for (key, result), gate in zip(assessed, gates.itertuples(), strict=True):
        if result.refusals:
            continue
        place = (key["dataset"], key["tissue"], key["lineage"])
        # cells without a count have no score and are never called
        result = replace(result, cells=result.cells.loc[parts[place].obs.index])
        mine = called_cells[called_cells["signature"] == key["signature"]]["cell_id"]
        called = result.cells.index.isin(mine)
        state = cell_states(result, parts[place], signatures) if called.any() else None
        states[(*place, key["signature"])] = (result, called, state, gate)
    for (dataset, tissue, lineage, signature), (result, called, state, gate) in states.items():
        if not called.any():
            continue
        marrow = states.get((dataset, MARROW, lineage, signature))
        for name in [EVERY, *sorted(set(state[called]))]:
            inside = called if name == EVERY else called & (state == name)
            row = {"lineage": lineage, "tissue": tissue, "dataset": dataset}
            row |= {"signature": signature, "state": name}
            which = "" if name == EVERY else f"{name} "
            row["subset"] = f"{label(result)} {which}{lineage} ({signature})"
            row |= _describe(result, inside, gate)
            row |= _marker_genes(result, called, inside, parts[dataset, tissue, lineage])
            row |= _against_marrow(result, inside, name, tissue, marrow)
            rows.append(row)
    return pd.DataFrame(rows, columns=SUBSET_COLUMNS)


def cell_states(result: Assessment, part: LineageCells, signatures: pd.DataFrame) -> np.ndarray:
    """Name the state of each cell of an assessment.

    Parameters
    ----------
    result
        The assessment.
    part
        The same cells.
    signatures
        Gene sets.

    Returns
    -------
    numpy.ndarray
        ``activated`` where immediate-early or interferon genes exceed the naive range, else
        ``immature``, ``intermediate`` or ``mature`` by the naive cells' thirds.
    """
    cells = result.cells
    naive = (cells["role"] == REFERENCE).to_numpy()
    thirds = np.quantile(cells.loc[naive, "maturation"], [1 / 3, 2 / 3])
    names = np.array(["immature", "intermediate", "mature"], dtype=object)
    state = names[np.searchsorted(thirds, cells["maturation"].to_numpy())]
    weights = balanced_weights(cells.loc[naive, "donor"].to_numpy(dtype=str))
    for name in CONFOUNDERS:
        genes = [gene for gene in positive_genes(signatures, name) if gene in part.genes]
        if genes:
            counts = part.of(genes)
            rates = gene_rates(counts[naive], part.depth[naive], weights)
            score = standardised(counts, part.depth, rates).mean(axis=1)
            state[score > np.quantile(score[naive], ACTIVATED)] = "activated"
    return state


def donor_fractions(result: Assessment, inside: np.ndarray) -> pd.Series:
    """Return the share of each case donor's supported cells that are inside a subset."""
    tested = (result.cells["role"] == CASE) & result.cells["supported"]
    return (
        pd.Series(inside, index=result.cells.index)[tested]
        .groupby(result.cells.loc[tested, "donor"])
        .mean()
    )


def _describe(result: Assessment, inside: np.ndarray, gate: tuple) -> dict:
    """Count cells and donors of a subset and say what it rests on."""
    fractions = donor_fractions(result, inside)
    text = ";".join(f"{donor}={value:.3f}" for donor, value in fractions.items())
    warnings = f"; {gate.warnings}" if gate.warnings else ""
    return {
        "cells": int(inside.sum()),
        "units": int((fractions > 0).sum()),
        "fraction": np.nan if result.enriched else float(fractions.median()),
        "fraction_per_unit": "" if result.enriched else text,
        "status": "tested",
        "evidence": (
            f"{gate.case_donors} case against {gate.reference_donors} reference donors, adjusted "
            f"p {gate.q:.2g}; estimated false discovery rate {gate.fdr:.2g}; genes {gate.genes}"
            f"{warnings}"
        ),
    }


def _marker_genes(
    result: Assessment, called: np.ndarray, inside: np.ndarray, part: LineageCells
) -> dict:
    """Name the genes higher in the subset than in uncalled cells of the same donors.

    The genes that the cells were called by are left out: they are high by choice.
    """
    cells = result.cells
    outside = ((cells["role"] == CASE) & cells["supported"]).to_numpy() & ~called
    genes = np.array(list(part.genes))
    shown = np.where(np.isin(genes, result.genes.used), "", genes)
    donor = cells["donor"].to_numpy(dtype=str)
    group = np.where(inside, 0, np.where(outside, 1, -1))
    return donor_markers(sum_by_donor(part.counts, shown, donor, group, 2), 0)


def _against_marrow(
    result: Assessment, inside: np.ndarray, state: str, tissue: str, marrow: tuple | None
) -> dict:
    """Compare a subset's share between a site and the marrow of the same donors.

    There is no p-value: a subset is listed because it is in excess at this site, so a test would
    confirm its own selection.
    """
    if tissue == MARROW or marrow is None or result.enriched or marrow[0].enriched:
        return {"marrow_donors": 0, "marrow_difference": np.nan, "marrow_status": "not_testable"}
    other, called, states, _ = marrow
    there = called & (states == state) if states is not None and state != EVERY else called
    pairs = pd.concat([donor_fractions(result, inside), donor_fractions(other, there)], axis=1)
    difference = pairs.dropna().diff(axis=1).iloc[:, 1]
    return {
        "marrow_donors": len(difference),
        "marrow_difference": -float(difference.mean()),
        "marrow_status": "effect_only" if len(difference) else "not_testable",
    }

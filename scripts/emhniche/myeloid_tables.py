"""How is an assessment laid out in the tables of the myeloid stage?

One row a cell, one row a donor, one row a gate. `docs/myeloid.md` explains every column.
"""

import numpy as np
import pandas as pd

from emhniche.assessment import Assessment
from emhniche.verdict import label
from emhniche.witnesses import CASE, CONTROL, REFERENCE

CALL_COLUMNS = [
    *("cell_id", "lineage", "signature", "maturation", "score", "residual", "p", "q"),
    *("pathological", "status"),
]

DONOR_COLUMNS = [
    *("lineage", "tissue", "signature", "donor", "arm", "role", "cells", "supported", "score"),
    *("residual", "exceedance", "called", "excess_fraction", "status", "reason", "dataset"),
]

GATE_COLUMNS = [
    *("lineage", "tissue", "signature", "status", "code", "reason", "p", "effect", "dataset"),
    *("label", "fit", "cells", "reference_donors", "control_donors", "case_donors", "n_genes"),
    *("genes", "genes_not_measured", "genes_not_detected", "genes_in_covariates"),
    *("genes_inflamed", "genes_inflammation_unmeasured", "p_welch", "p_permutation", "q"),
    *("sign_effect", "random_low", "random_high", "control_p", "called", "threshold", "fdr"),
    *("excess", "excess_low", "excess_high", "warnings", "naive_limit"),
]

_FACTS = (
    *("sign_effect", "random_low", "random_high", "threshold", "fdr"),
    *("excess", "excess_low", "excess_high", "naive_limit"),
)


def call_rows(key: dict, result: Assessment, decided: pd.DataFrame) -> pd.DataFrame:
    """Return one row a cell, sorted by cell id.

    Parameters
    ----------
    key
        ``lineage``, ``tissue``, ``dataset`` and ``signature``.
    result
        The assessment.
    decided
        Calls, as :func:`emhniche.verdict.decide` returns them.

    Returns
    -------
    pandas.DataFrame
        The columns of `CALL_COLUMNS`.
    """
    scored = result.cells[["maturation", "score", "residual"]]
    table = scored.join(decided)
    table.insert(0, "cell_id", table.index.astype(object))
    table = table.assign(lineage=key["lineage"], signature=key["signature"])
    return table[CALL_COLUMNS].reset_index(drop=True)


def donor_rows(key: dict, result: Assessment, decided: pd.DataFrame) -> pd.DataFrame:
    """Return one row a donor, sorted by name, with its share of cells above the naive range.

    Parameters are those of :func:`call_rows`.

    Returns
    -------
    pandas.DataFrame
        The columns of `DONOR_COLUMNS`.
    """
    table = result.donors.reset_index()
    for column in ("supported", "exceedance"):
        if column not in table:
            table[column] = np.nan
    by_donor = result.cells.groupby("donor")
    for column in ("score", "residual"):
        mean = by_donor[column].mean().reindex(table["donor"])
        table[column] = mean.round(6).to_numpy() + 0.0
    called = decided["pathological"].fillna(False).groupby(result.cells["donor"]).sum()
    tested = (table["role"] == CASE) & (not result.refusals)
    table["called"] = called.reindex(table["donor"]).to_numpy(float)
    table["called"] = table["called"].where(tested)
    table["excess_fraction"] = _excess(table).where(tested & (not result.enriched))
    counted = (table["role"] != "") & (not result.refusals)
    scored = np.where(table["residual"].notna(), "score_only", "not_testable")
    table["status"] = np.where(counted, "tested", scored)
    table = table.assign(**key)
    return table[DONOR_COLUMNS]


def gate_row(
    key: dict, result: Assessment, decided: pd.DataFrame, code: str, reason: str, q_gate: float
) -> dict:
    """Return the row of a gate.

    Parameters
    ----------
    key, result, decided
        As in :func:`call_rows`.
    code, reason
        The answer and its sentences.
    q_gate
        The gate's p-value adjusted over all gates of the run.

    Returns
    -------
    dict
        The columns of `GATE_COLUMNS`.
    """
    genes, test, roles = result.genes, result.test, result.donors["role"]
    called = int(decided["pathological"].fillna(False).sum())
    if not result.refusals:
        status = "tested"
    else:
        status = "score_only" if result.cells["residual"].notna().any() else "not_testable"
    return key | {
        "status": status,
        "code": code,
        "reason": reason,
        "label": label(result) if called else "",
        "fit": result.fit,
        "cells": len(result.cells),
        "reference_donors": int((roles == REFERENCE).sum()),
        "control_donors": int((roles == CONTROL).sum()),
        "case_donors": int((roles == CASE).sum()),
        "n_genes": len(genes.used),
        "genes": ";".join(genes.used),
        "genes_not_measured": ";".join(genes.not_measured),
        "genes_not_detected": ";".join(genes.not_detected),
        "genes_in_covariates": ";".join(genes.in_covariates),
        "genes_inflamed": ";".join(genes.inflamed),
        "genes_inflammation_unmeasured": ";".join(result.inflammation_unmeasured),
        "effect": test.effect if test else np.nan,
        "p": test.p if test else np.nan,
        "p_welch": test.p_welch if test else np.nan,
        "p_permutation": test.p_permutation if test else np.nan,
        "q": q_gate,
        "control_p": result.control.p if result.control else np.nan,
        "called": called if test else np.nan,
        "warnings": "; ".join(result.warnings),
        **{name: result.facts.get(name, np.nan) for name in _FACTS},
    }


def _excess(donors: pd.DataFrame) -> pd.Series:
    """Share of a donor's cells above the naive range beyond what reference donors hold there."""
    naive = donors.loc[donors["role"] == REFERENCE, "exceedance"].mean()
    return (donors["exceedance"] - naive) / (1 - naive)

"""Do the cases hold a cluster of cells that carries a signature?

A strong programme makes its cells neighbours of each other. So all cells of a lineage are
clustered, whatever arm they are of, and donors then say of each cluster whether cases hold more of
it, and whether its cells carry more of a signature than the reference's cells of the lineage. Only
a cluster that both is claimed. The claim is about the cluster: it calls no single cell.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from emhniche.assessment import Assessment, Settings
from emhniche.cluster_evidence import (
    SHORT,
    cluster_cells,
    compare_residuals,
    compare_shares,
    random_bars,
)
from emhniche.donor_markers import donor_markers, sum_by_donor
from emhniche.gate import benjamini_hochberg
from emhniche.lineage_cells import (
    LineageCells,
    build_covariates,
    covariate_genes,
    maturation_sets,
)
from emhniche.verdict import ALPHA
from emhniche.witnesses import Refusal

CLUSTER_COLUMNS = [
    *("lineage", "tissue", "dataset", "signature", "cluster", "cells", "reference_donors"),
    *("control_donors", "case_donors", "share_reference", "share_control", "share_case"),
    *("composition_effect", "composition_p", "composition_q", "composition_control_p"),
    *("signature_effect", "signature_p", "signature_q", "signature_control_p", "sign_effect"),
    *("random_high", "status", "code", "reason", "label", "markers", "markers_per_unit"),
    "marker_units",
]

CLUSTER = ["dataset", "tissue", "lineage", "cluster"]
"""Columns that name a cluster."""


def find_clusters(
    place: Mapping[str, str],
    cells: LineageCells | Refusal,
    results: Mapping[str, Assessment],
    signatures: pd.DataFrame,
    settings: Settings,
) -> list[dict]:
    """Cluster the cells of a lineage that could be compared, and test each cluster.

    Parameters
    ----------
    place
        ``dataset``, ``tissue`` and ``lineage``.
    cells
        Its cells.
    results
        Assessment of each signature.
    signatures
        Gene sets, for the sets that scores are adjusted for.
    settings
        Levels and limits.

    Returns
    -------
    list of dict
        A row a cluster and signature, or one row without a cluster where nothing could be compared;
        :func:`conclude_clusters` makes a table of the rows of a run.

    References
    ----------
    Phipson B et al. (2022) doi:10.1093/bioinformatics/btac582 (moderated tests of composition);
    Traag VA et al. (2019) doi:10.1038/s41598-019-41695-z (Leiden).
    """
    passed = {name: one for name, one in results.items() if not one.refusals}
    found = {}
    if passed:
        found = _test_place(cells, place["lineage"], passed, signatures, settings)
    return [
        {**place, "signature": name, **row}
        for name, one in results.items()
        for row in found.get(name) or [_refused(one.refusals)]
    ]


def _test_place(
    cells: LineageCells,
    lineage: str,
    passed: Mapping[str, Assessment],
    signatures: pd.DataFrame,
    settings: Settings,
) -> dict[str, list[dict]]:
    """Return the rows of each signature in one lineage of one tissue and dataset."""
    order = cells.obs.index
    first = next(iter(passed.values()))
    table = pd.DataFrame({"donor": cells.obs["donor"].astype(object)}, index=order)
    table["role"] = first.cells["role"].reindex(order)
    table["unsorted"] = cells.obs["enrichment"].isin(["", "none"])
    table["cluster"] = cluster_cells(cells, seed=settings.seed)
    described = _describe(cells, table, settings)
    stages = maturation_sets(lineage, None)
    adjusted = covariate_genes(signatures, stages, cells.genes)
    covariates = build_covariates(cells, adjusted, stages)
    rows = {}
    for name, result in passed.items():
        own = table.join(result.cells[["residual", "supported"]])
        found = compare_residuals(own, settings)
        tested = [one | found[one["cluster"]] for one in described]
        rows[name] = [_first_reason(one, row) for one, row in zip(described, tested, strict=True)]
        likely = [r for r in rows[name] if r["status"] == "tested" and _strong(r)]
        if likely:
            names = [row["cluster"] for row in likely]
            own_genes = signatures.loc[signatures["set"] == name, "genes"]
            excluded = {gene for genes in [*adjusted.values(), *own_genes] for gene in genes}
            used = result.genes.used
            bars = random_bars(cells, own, names, used, covariates, excluded, settings)
            for row, (effect, high) in zip(likely, bars, strict=True):
                row |= {"sign_effect": effect, "random_high": high}
    return rows


def _strong(row: Mapping) -> bool:
    return row["composition_p"] <= ALPHA and row["signature_p"] <= ALPHA


def _describe(cells: LineageCells, table: pd.DataFrame, settings: Settings) -> list[dict]:
    """Return what each cluster is and how frequent it is, whatever the signature."""
    composition = compare_shares(table, settings)
    genes, donor = np.array(list(cells.genes)), table["donor"].to_numpy(dtype=str)
    number = table["cluster"].astype(int)
    known = number.where(table["role"] != "", -1).to_numpy()
    sums = sum_by_donor(cells.counts, genes, donor, known, number.max() + 1)
    role = table.drop_duplicates("donor")["role"]
    donors = {f"{word}_donors": int((role == arm).sum()) for arm, word in SHORT.items()}
    rows = []
    for i, size in enumerate(np.bincount(number)):
        name = str(i)
        row = donors | {"cluster": name, "cells": int(size)} | donor_markers(sums, i)
        row |= {"status": "tested", "code": "", "reason": ""}
        if isinstance(composition, str):
            row |= {"status": "not_identifiable", "code": "sorted", "reason": composition}
        else:
            row |= composition.loc[name].to_dict()
            if np.isnan(row["composition_p"]):
                few = (
                    f"Reference and case donors hold fewer than {settings.min_cells} cells of the "
                    "cluster."
                )
                row |= {"status": "not_testable", "code": "too_few_cells", "reason": few}
        rows.append(row)
    return rows


def _first_reason(described: Mapping, tested: Mapping) -> dict:
    """Keep the reason that was there before the signature was looked at."""
    if described["code"]:
        return {**tested, **{key: described[key] for key in ("status", "code", "reason")}}
    return {**tested, "status": "not_testable"} if tested["code"] else dict(tested)


def _refused(refusals: Sequence[Refusal]) -> dict:
    """Return the row of a signature in a lineage that could not be compared."""
    reason = " ".join(refusal.sentence for refusal in refusals)
    return {"cluster": "", "status": "not_testable", "code": refusals[0].code, "reason": reason}


def conclude_clusters(rows: Sequence[Mapping]) -> pd.DataFrame:
    """Adjust both tests over the run, and decide on each row.

    Composition is adjusted over all clusters. A signature is asked only of clusters that cases hold
    more of, and adjusted over these and all signatures: adjusted over all clusters, no programme
    could be shown with four donors an arm.

    Parameters
    ----------
    rows
        What :func:`find_clusters` returned for every lineage of the run.

    Returns
    -------
    pandas.DataFrame
        The columns of `CLUSTER_COLUMNS`, which ``docs/myeloid.md`` explains.
    """
    table = pd.DataFrame(rows, columns=CLUSTER_COLUMNS)
    clusters = table.drop_duplicates(CLUSTER)
    adjusted = clusters[CLUSTER].assign(
        composition_q=benjamini_hochberg(clusters["composition_p"].to_numpy(float))
    )
    table = table.drop(columns="composition_q").merge(adjusted, on=CLUSTER, how="left")
    more = (table["status"] == "tested") & (table["composition_q"] <= ALPHA)
    asked = table["signature_p"].where(more).to_numpy(float)
    table = table.assign(signature_q=benjamini_hochberg(asked))[CLUSTER_COLUMNS]
    text = table[["code", "reason"]].astype(object).assign(label="")
    for row in table[table["status"] == "tested"].itertuples():
        code, reason = _decide(row)
        word = "MDSC-like (reactive)" if pd.isna(row.composition_control_p) else "MDSC-like"
        text.loc[row.Index] = [code, reason, word if code == "claimed" else ""]
    return table.assign(**text)


def _decide(row: tuple) -> tuple[str, str]:
    """Return code and sentence of a tested cluster."""
    if row.composition_q > ALPHA:
        return "no_donor_level_excess", (
            "Case donors hold no more of this cluster than reference donors differ among "
            f"themselves (adjusted p {row.composition_q:.2g})."
        )
    if row.signature_q > ALPHA:
        return "no_signature_excess", (
            "Case donors hold more of this cluster, but its cells carry no more of the signature "
            f"than the reference's cells of the lineage (adjusted p {row.signature_q:.2g})."
        )
    if row.sign_effect <= row.random_high:
        return "not_beyond_random_sets", (
            "Random gene sets of the same expression are as high in this cluster, so it is not the "
            "signature's."
        )
    control = np.fmax(row.composition_control_p, row.signature_control_p)
    if control > ALPHA:
        return "not_beyond_inflammation", (
            "Inflamed donors hold as much of this cluster, or carry as much of the signature "
            f"(p {control:.2g})."
        )
    return "claimed", (
        f"Case donors hold {100 * row.share_case:.1f} % of their cells in this cluster, reference "
        f"donors {100 * row.share_reference:.1f} %, and its cells carry more of the signature."
    )

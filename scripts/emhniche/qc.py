"""Which barcodes of a library are cells worth keeping, and what is lost by dropping the others?

One cut-off for a whole blood tissue deletes its neutrophils and erythroid cells, which hold little
RNA. So the barcodes are first grouped and given a coarse lineage; thresholds are then set within
each lineage, from its own median and MAD, between a floor and a ceiling.
"""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc

from emhniche.cellbender import Estimate
from emhniche.doublets import Doublets, find_doublets
from emhniche.droplets import EMPTY_BELOW
from emhniche.duplicates import fingerprints
from emhniche.lineage import UNRESOLVED, group_rates, name_groups
from emhniche.neighbors import leiden, shared_graph
from emhniche.qc_metrics import barcode_metrics
from emhniche.qc_states import cell_states, describe_states
from emhniche.qc_thresholds import first_failure, lineage_thresholds
from emhniche.sex_genes import count_sex_genes
from emhniche.soup import Soup, ambient_by_lineage, find_soup
from emhniche.verdict_limits import judge_measures, worst

GROUPABLE = {"n_counts": 100, "n_genes": 50, "pct_mito": 50}
"""Fewest UMIs and genes, and highest mitochondrial per cent, of a barcode that can be grouped."""

COARSE_MIN_SCORE = 0.2
"""A marker set must score this to name a group of barcodes (:mod:`emhniche.lineage`)."""

RULE_WORDS = {
    "low_counts": "min counts",
    "low_genes": "min genes",
    "high_mito": "max mito",
    "doublet": "doublet calls",
    "no_cell": "CellBender's cell calls",
}
"""What the warning of a lineage's loss calls the rule that took most."""

logger = logging.getLogger(__name__)


def qc_sample(
    counts: ad.AnnData,
    markers: pd.DataFrame,
    signatures: pd.DataFrame,
    *,
    sample: str,
    species: str,
    chemistry: str,
    cells_loaded: str,
    enrichment: str,
    n_mads: float,
    min_counts: dict,
    min_genes: dict,
    max_pct_mito: dict,
    min_lineage_cells: int,
    verdict: dict,
    doublets: dict,
    estimate: Estimate | None = None,
    seed: int,
) -> tuple[pd.DataFrame, dict, Soup]:
    """Decide for each barcode of one library whether it is kept, and why not.

    Parameters
    ----------
    counts
        Barcodes x genes, raw integer counts; ``obs["label"]`` is carried along if present.
    markers
        Lineage marker sets (columns ``set``, ``positive``, ``negative``).
    signatures
        Gene sets of the species, of which the cell cycle's and the dissociation's are scored.
    sample
        Name of the sample.
    species
        ``mouse`` or ``human``, for the sex genes.
    chemistry
        Library chemistry; sorted plates are not searched for doublets.
    cells_loaded
        Cells loaded on the chip, from the sample sheet; empty where not known.
    enrichment
        Gate of the library; in a sorted one doublets are scored and not called.
    n_mads
        Distance of the thresholds from the lineage's median, in scaled MADs.
    min_counts, min_genes, max_pct_mito
        ``{"floor": x, "ceiling": y}``: bounds of the thresholds on UMIs, genes and mitochondrial
        per cent.
    min_lineage_cells
        A lineage with fewer barcodes has too little to estimate a MAD from: it gets the mildest
        threshold that the bounds allow.
    verdict
        Limits of :func:`emhniche.verdict_limits.judge_measures`.
    doublets
        ``method``, ``min_cells`` and ``fallback_rate`` of :func:`emhniche.doublets.find_doublets`.
    estimate
        What CellBender says of the library; None where it did not run. A droplet that it takes for
        one without a cell is dropped (``no_cell``), has no lineage and no say in the thresholds.
    seed
        Seed of grouping and doublet simulation.

    Returns
    -------
    table : pandas.DataFrame
        One row a barcode, in order, with :data:`COLUMNS`. All may be dropped.
    summary : dict
        What ``qc.json`` holds: the verdict on the library by itself, losses by reason and lineage,
        thresholds, warnings.
    soup : Soup
        What the library's ambient RNA is made of.
    """
    table = barcode_metrics(counts)
    soup = find_soup(counts, estimate)
    usable = groupable(table) & soup.cell
    table["lineage"] = coarse_lineage(counts, markers, usable, seed=seed)
    bounds = {"n_counts": min_counts, "n_genes": min_genes, "pct_mito": max_pct_mito}
    thresholds = lineage_thresholds(
        table[soup.cell] if soup.cell.any() else table,
        n_mads=n_mads,
        bounds=bounds,
        min_lineage_cells=min_lineage_cells,
    )
    reason = first_failure(table, thresholds).where(soup.cell, "no_cell")
    found = find_doublets(
        counts,
        (reason == "").to_numpy(),
        table["lineage"].to_numpy(dtype=str),
        chemistry=chemistry,
        cells_loaded=cells_loaded,
        enrichment=enrichment,
        seed=seed,
        **doublets,
    )
    table["ambient"], ambient_genes = ambient_by_lineage(
        counts, table["lineage"], soup, found.called
    )
    table["doublet_score"] = found.scores
    table["reason"] = reason.mask((reason == "") & found.called, "doublet")
    table["keep"] = table["reason"] == ""
    table = table.join(cell_states(counts, signatures, usable, seed=seed))
    table["fingerprint"] = fingerprints(counts)
    summary = summarise(
        table, thresholds, found, sample=sample, bounds=bounds, limits=verdict, soup=soup
    )
    summary["sex_genes"] = count_sex_genes(counts, table["keep"].to_numpy(), species)
    summary["ambient_genes"] = ambient_genes.to_dict("records")
    return table[COLUMNS], summary, soup


COLUMNS = [
    "barcode",
    "n_counts",
    "n_genes",
    "pct_mito",
    "pct_ribo",
    "pct_hb",
    "complexity",
    "stress_score",
    "s_score",
    "g2m_score",
    "phase",
    "doublet_score",
    "ambient",
    "lineage",
    "keep",
    "reason",
    "fingerprint",
]
"""Columns of ``qc.parquet``."""


def groupable(table: pd.DataFrame) -> np.ndarray:
    """Tell which barcodes can show a lineage at all (:data:`GROUPABLE`).

    Debris (few genes, almost only mitochondrial RNA) would otherwise form groups of its own.

    Parameters
    ----------
    table
        Barcodes with metrics.

    Returns
    -------
    numpy.ndarray
        One bool a barcode.
    """
    enough = table["n_counts"] >= GROUPABLE["n_counts"]
    enough &= table["n_genes"] >= GROUPABLE["n_genes"]
    return (enough & ~(table["pct_mito"] > GROUPABLE["pct_mito"])).to_numpy()


def coarse_lineage(
    counts: ad.AnnData, markers: pd.DataFrame, usable: np.ndarray, *, seed: int
) -> np.ndarray:
    """Group the usable barcodes of one library and give each group a lineage.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts.
    markers
        Lineage marker sets.
    usable
        One bool a barcode (:func:`groupable`); the others are ``unresolved``.
    seed
        Seed of components and graph partition.

    Returns
    -------
    numpy.ndarray
        One lineage name a barcode.
    """
    lineage = np.full(counts.n_obs, UNRESOLVED, dtype=object)
    if not usable.any():
        return lineage
    library = ad.AnnData(counts.X[usable].copy(), var=pd.DataFrame(index=counts.var_names))
    groups = _coarse_groups(library.copy(), seed=seed)
    genes = pd.concat([markers["positive"], markers["negative"]]).explode().dropna()
    named = name_groups(
        group_rates(library, groups, genes),
        markers,
        min_score=COARSE_MIN_SCORE,
        min_confidence=0.0,
        n_resamples=1,
        seed=seed,
    )
    lineage[usable] = named["best"].reindex(groups).to_numpy()
    return lineage


def summarise(
    table: pd.DataFrame,
    thresholds: pd.DataFrame,
    found: Doublets,
    *,
    sample: str,
    bounds: dict,
    limits: dict,
    soup: Soup,
) -> dict:
    """Collect what the sample's page says, as plain data.

    Parameters
    ----------
    table
        Barcodes with ``lineage``, ``keep`` and ``reason``.
    thresholds
        From :func:`lineage_thresholds`.
    found
        Doublets of the library.
    sample
        Its name.
    bounds
        Metric -> ``{"floor", "ceiling"}``: barcodes at the floors of counts and genes count for
        the library's mitochondrial share.
    limits
        Of :func:`emhniche.verdict_limits.judge_measures`.
    soup
        What the library's ambient RNA is made of.

    Returns
    -------
    dict
        The content of ``qc.json``; NaN where a metric was not measured.
    """
    kept = table[table["keep"]]
    lineages = [
        {
            "lineage": lineage,
            "n_in": len(group),
            "n_kept": int(group["keep"].sum()),
            "removed": _losses(group),
        }
        for lineage, group in table.groupby("lineage", sort=True)
    ]
    warnings = [text for text in map(_lineage_warning, lineages) if text]
    if soup.source == "droplets":
        warnings.append(
            f"cells were not called: {soup.n_empty} barcodes hold fewer than {EMPTY_BELOW} counts, "
            "and droplets of soup with more may pass as cells"
        )
    measures = _measures(table, bounds)
    judged = judge_measures(measures, limits) + [("warn", text) for text in warnings]
    verdict, reason = worst(judged)
    metrics = ["n_counts", "n_genes", "pct_mito", "pct_ribo", "pct_hb", "complexity"]
    return {
        "sample": sample,
        "verdict": verdict,
        "verdict_reason": reason,
        "found": judged,
        "measures": measures,
        "n_in": len(table),
        "n_kept": len(kept),
        "n_empty": soup.n_empty,
        "soup": soup.source,
        "removed": _losses(table),
        "thresholds": thresholds.to_dict("records"),
        "lineages": lineages,
        "medians": kept[metrics].median().to_dict(),
        "states": describe_states(kept),
        "doublets": {
            "status": found.status,
            "reason": found.reason,
            "method": found.method,
            "threshold": found.threshold,
            "n_called": int(found.called.sum()),
            "expected_rate": found.expected_rate,
            "expected_from": found.expected_from,
            "n_expected": found.n_expected,
        },
        "warnings": warnings,
    }


def _measures(table: pd.DataFrame, bounds: dict) -> dict[str, float]:
    """Return what the verdict on the library rests on; NaN where not measured."""
    kept = table[table["keep"]]
    enough = table["n_counts"] >= bounds["n_counts"]["floor"]
    enough &= table["n_genes"] >= bounds["n_genes"]["floor"]
    enough &= table["reason"] != "no_cell"
    return {
        "kept_cells": len(kept),
        "median_genes": float(kept["n_genes"].median()),
        "median_pct_mito": float(table.loc[enough, "pct_mito"].median()),
        "ambient": float(kept["ambient"].median()),
    }


def _coarse_groups(library: ad.AnnData, *, seed: int) -> np.ndarray:
    """Leiden groups of one library's barcodes; one group where there are too few to divide."""
    if library.n_obs < 60:
        return np.zeros(library.n_obs, dtype=int).astype(str)
    sc.pp.filter_genes(library, min_cells=3)
    sc.pp.normalize_total(library, target_sum=1e4)
    sc.pp.log1p(library)
    sc.pp.highly_variable_genes(library, n_top_genes=min(1000, library.n_vars), flavor="seurat")
    library = library[:, library.var["highly_variable"]].copy()
    library.X = library.X.toarray()
    sc.pp.scale(library, max_value=10)
    sc.pp.pca(library, n_comps=min(20, library.n_obs - 1, library.n_vars - 1), random_state=seed)
    graph = shared_graph(library.obsm["X_pca"], n_neighbors=10)
    return leiden(graph, resolution=1.0, seed=seed, n_iterations=2)


def _losses(table: pd.DataFrame) -> dict[str, int]:
    counts = table.loc[~table["keep"], "reason"].value_counts()
    return {reason: int(counts[reason]) for reason in sorted(counts.index)}


def _lineage_warning(row: dict) -> str:
    """Say so when a lineage of some size loses most of its barcodes."""
    lost = row["n_in"] - row["n_kept"]
    if row["lineage"] == UNRESOLVED or row["n_in"] < 10 or lost / row["n_in"] < 0.5:
        return ""
    most = max(row["removed"], key=row["removed"].get)
    rule = RULE_WORDS.get(most, most)
    by = "by" if row["removed"][most] == lost else "most by"
    return (
        f"{row['lineage']}: {100 * lost / row['n_in']:.0f} % removed ({lost} of {row['n_in']}), "
        f"{by} {rule}"
    )

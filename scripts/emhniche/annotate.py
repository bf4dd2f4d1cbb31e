"""What is each cluster: which lineage, which cell type, and how sure is that?

A cluster is named from its pooled counts by marker sets (:mod:`emhniche.lineage`): first the
lineage, then a cell type within it. Parts of a cluster that are unlike get names of their own
(:mod:`emhniche.cluster_names`), and where they disagree the table says so. No published label and
no panel gene takes part: labels can test the names, and panel claims are not circular. What no set
fits stays ``unresolved``.
"""

import logging

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.cluster_names import name_parts, own_names
from emhniche.io import CELL_ID
from emhniche.lineage import UNRESOLVED
from emhniche.marker_evidence import compare_donors, rank_areas

N_MARKERS = 25
"""Marker genes listed a cluster."""

logger = logging.getLogger(__name__)


def annotate_clusters(
    cells: ad.AnnData,
    clusters: pd.Series,
    lineages: pd.DataFrame,
    *,
    min_score: float,
    min_confidence: float,
    n_resamples: int,
    seed: int,
    found_again: pd.Series,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Name the clusters and list their markers.

    Parameters
    ----------
    cells
        Cells x genes, raw counts; ``obs`` with ``dataset``, ``tissue``, ``qc_lineage``, ``sample``,
        ``donor`` and ``donor_known``.
    clusters
        Cluster of each cell, indexed by ``cell_id``.
    lineages
        Rows of ``lineages.tsv``.
    min_score, min_confidence
        Below either a name is not given (:func:`emhniche.lineage.name_groups`).
    n_resamples
        Resamples of the marker genes for the confidence.
    seed
        Seed of the resampling.
    found_again
        Share of subsamples of the cells that give each cluster again, indexed by cluster.

    Returns
    -------
    annotation : pandas.DataFrame
        ``cell_id``, ``lineage``, ``cell_type``, ``confidence`` (of the lineage, times the share of
        subsamples in which the cell's cluster is found again).
    named : pandas.DataFrame
        One row a cluster and one a part of it, as :func:`emhniche.cluster_names.name_parts` returns
        them, with ``agreement`` (share of the cluster's cells whose own part has the cluster's
        lineage), ``found_again`` (of the cluster) and ``marker`` (its first marker gene, by which a
        cluster is known in another run; empty without one).
    markers : pandas.DataFrame
        ``cluster``, ``lineage``, ``cell_type``, ``gene``, ``log2_fold_change``, ``pct_in``,
        ``pct_out``, ``auroc``, ``score`` and what donors say
        (:data:`emhniche.marker_evidence.TEST_COLUMNS`).
    """
    obs = pd.DataFrame(
        {
            "cluster": clusters.reindex(cells.obs_names).astype(str),
            "dataset": cells.obs["dataset"].astype(str),
            "tissue": cells.obs["tissue"].astype(str),
            "qc_lineage": cells.obs["qc_lineage"].astype(str),
        }
    )
    limits = {"min_confidence": min_confidence, "n_resamples": n_resamples, "seed": seed}
    named = name_parts(cells, obs, lineages, min_score=min_score, **limits)
    own = own_names(obs, named)
    annotation = own[["lineage", "cell_type", "confidence"]].copy()
    annotation["confidence"] *= obs["cluster"].map(found_again).to_numpy()
    annotation.insert(0, CELL_ID, cells.obs_names.astype(str))
    whole = named[named["dataset"] == ""].set_index("cluster")
    agrees = own["lineage"].to_numpy() == whole["lineage"].reindex(obs["cluster"]).to_numpy()
    agreement = pd.Series(agrees).groupby(obs["cluster"].to_numpy()).mean()
    named["agreement"] = named["cluster"].map(agreement)
    logger.info("%d of %d clusters named", (whole["lineage"] != UNRESOLVED).sum(), len(whole))
    named["found_again"] = named["cluster"].map(found_again)
    markers = cluster_markers(cells, obs["cluster"], obs["dataset"], whole.reset_index())
    first = markers.drop_duplicates("cluster").set_index("cluster")["gene"]
    named["marker"] = [first.get(cluster, "") for cluster in named["cluster"]]
    return annotation, named, markers


def cluster_markers(
    cells: ad.AnnData, groups: pd.Series, datasets: pd.Series, named: pd.DataFrame
) -> pd.DataFrame:
    """List the genes that set each cluster apart, with what cells rank and what donors test.

    Cells of a cluster are compared with the other cells of the same dataset, so that a platform is
    no marker; datasets count by the cluster's cells in them. Genes are ranked by log2 fold change
    of the mean rate times the difference in detection, where both are positive, over the genes that
    every dataset measured. Cells are no units, so none of these numbers has a p; donors are asked
    within their libraries (:func:`emhniche.marker_evidence.compare_donors`).

    Parameters
    ----------
    cells
        Cells x genes, raw counts; ``obs`` with ``sample``, ``donor`` and ``donor_known``.
    groups, datasets
        Cluster and dataset of each cell.
    named
        Lineage and cell type of each cluster.

    Returns
    -------
    pandas.DataFrame
        The table ``markers`` of :func:`annotate_clusters`: at most :data:`N_MARKERS` genes a
        cluster, best first.
    """
    use = cells.varm["measured"].all(axis=1).to_numpy()
    counts = sparse.csr_matrix(cells.X)
    scale = sparse.diags(1e4 / np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0))
    counts = counts[:, use].sorted_indices()
    order = named["cluster"].tolist()
    codes = pd.Categorical(groups, categories=order).codes
    donors = compare_donors(counts, codes, cells.obs, order)
    rates = (scale @ counts).tocsr()
    del counts  # as large as the rates
    sums: dict[str, np.ndarray | float] = dict.fromkeys(("change", "pct_in", "pct_out", "auroc"), 0)
    weight = np.zeros((len(order), 1))
    for rows in (np.flatnonzero(datasets == name) for name in datasets.unique()):
        sizes, values = _against_others(rates[rows], codes[rows], len(order))
        weight += sizes
        for name, value in values.items():
            sums[name] = sums[name] + sizes * value
    means = {name: value / np.maximum(weight, 1.0) for name, value in sums.items()}
    gain = means["pct_in"] - means["pct_out"]
    score = means["change"].clip(min=0) * gain.clip(min=0)
    rows = []
    for number, cluster in enumerate(order):
        best = np.argsort(-score[number], kind="stable")[:N_MARKERS]
        best = best[score[number, best] > 0]
        table = pd.DataFrame({"cluster": cluster, "gene": cells.var_names[use][best]})
        table["log2_fold_change"] = means["change"][number, best]
        table["pct_in"] = 100 * means["pct_in"][number, best]
        table["pct_out"] = 100 * means["pct_out"][number, best]
        table = table.assign(auroc=means["auroc"][number, best], score=score[number, best])
        rows.append(table.join(donors[cluster].iloc[best].reset_index(drop=True)))
    markers = pd.concat(rows).merge(named[["cluster", "lineage", "cell_type"]], on="cluster")
    first = ["cluster", "lineage", "cell_type", "gene"]
    return markers[[*first, *markers.columns.difference(first, sort=False)]]


def _against_others(
    rates: sparse.csr_matrix, codes: np.ndarray, n_groups: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Compare each group with the other cells of one dataset.

    Returns the weight of each group (its cells, 0 without others) and groups x genes arrays.
    """
    member = sparse.csr_matrix(
        (np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(n_groups, len(codes))
    )
    sizes = np.asarray(member.sum(axis=1)).reshape(-1, 1)
    others = len(codes) - sizes
    inside, seen = (member @ rates).toarray(), (member @ (rates > 0)).toarray()
    n_in, n_out = np.maximum(sizes, 1), np.maximum(others, 1)
    mean_in, mean_out = inside / n_in, (inside.sum(axis=0) - inside) / n_out
    values = {
        "change": np.log2((mean_in + 0.05) / (mean_out + 0.05)),
        "pct_in": seen / n_in,
        "pct_out": (seen.sum(axis=0) - seen) / n_out,
        "auroc": np.nan_to_num(rank_areas(rates, codes, n_groups)),
    }
    return np.where(others > 0, sizes, 0), values

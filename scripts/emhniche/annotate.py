"""What is each cluster: which lineage, which cell type, and how sure is that?

A cluster is named from its pooled counts by marker sets (:mod:`emhniche.lineage`): first the
lineage, then a cell type within it. No published label and no panel gene takes part, so labels can
test the names and panel claims are not circular. What no set fits stays ``unresolved``.
"""

import logging

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import CELL_ID
from emhniche.lineage import UNRESOLVED, group_rates, marker_sets, name_groups

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
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Name the clusters and list their markers.

    Parameters
    ----------
    cells
        Cells x genes, raw counts.
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

    Returns
    -------
    annotation : pandas.DataFrame
        ``cell_id``, ``lineage``, ``cell_type``, ``confidence``.
    named : pandas.DataFrame
        ``cluster``, ``n_cells``, ``lineage``, ``cell_type``, ``confidence`` (of the lineage),
        ``cell_type_confidence``, ``score``, ``runner_up``, ``margin``.
    markers : pandas.DataFrame
        ``cluster``, ``lineage``, ``cell_type``, ``gene``, ``log2_fold_change``, ``pct_in``,
        ``pct_out``, ``score``.
    """
    groups = clusters.reindex(cells.obs_names).astype(str)
    named = name_clusters(
        cells,
        groups,
        lineages,
        min_score=min_score,
        min_confidence=min_confidence,
        n_resamples=n_resamples,
        seed=seed,
    )
    own = named.set_index("cluster").loc[groups.to_numpy()]
    annotation = pd.DataFrame(
        {
            CELL_ID: cells.obs_names.astype(str),
            "lineage": own["lineage"].to_numpy(),
            "cell_type": own["cell_type"].to_numpy(),
            "confidence": own["confidence"].to_numpy(),
        }
    )
    logger.info("%d of %d clusters named", (named["lineage"] != UNRESOLVED).sum(), len(named))
    return annotation, named, cluster_markers(cells, groups, named)


def name_clusters(
    cells: ad.AnnData,
    groups: pd.Series,
    lineages: pd.DataFrame,
    *,
    min_score: float,
    min_confidence: float,
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Give each cluster a lineage and, where a finer set fits, a cell type.

    Parameters are those of :func:`annotate_clusters`, with the cluster of each cell in `groups`.

    Returns
    -------
    pandas.DataFrame
        The table ``named`` of :func:`annotate_clusters`, in the clusters' order.
    """
    limits = {"min_confidence": min_confidence, "n_resamples": n_resamples, "seed": seed}
    coarse, fine = marker_sets(lineages, finer=False), marker_sets(lineages, finer=True)
    genes = pd.concat([coarse, fine])[["positive", "negative"]].stack().explode().dropna().unique()
    rates = group_rates(cells, groups, genes)
    named = name_groups(rates, coarse, min_score=min_score, **limits)
    named = named.rename(columns={"best": "lineage"})
    named["cell_type"] = named["lineage"]
    named["cell_type_confidence"] = named["confidence"]
    home = pd.crosstab(groups.to_numpy(), cells.obs["niche"].astype(str).to_numpy()).idxmax(axis=1)
    for (lineage, niche), rows in named.groupby([named["lineage"], home.reindex(named.index)]):
        sets = fine[(fine["lineage"] == lineage) & fine["tissue"].isin(["any", _TISSUE[niche]])]
        if sets.empty or lineage == UNRESOLVED:
            continue
        finer = name_groups(rates, sets, min_score=min_score, **limits).loc[rows.index]
        fits = finer.index[finer["best"] != UNRESOLVED]
        named.loc[fits, "cell_type"] = finer.loc[fits, "best"]
        named.loc[fits, "cell_type_confidence"] = finer.loc[fits, "confidence"]
    named.insert(0, "n_cells", groups.value_counts().reindex(named.index))
    named = named.rename_axis("cluster").reset_index()
    named = named.iloc[named["cluster"].astype(int).argsort(kind="stable")]
    columns = ["cluster", "n_cells", "lineage", "cell_type", "confidence", "cell_type_confidence"]
    return named[[*columns, "score", "runner_up", "margin"]].reset_index(drop=True)


_TISSUE = {"marrow": "marrow", "extramedullary": "spleen"}
"""Which tissue's marker sets a cluster of each niche is offered."""


def cluster_markers(cells: ad.AnnData, groups: pd.Series, named: pd.DataFrame) -> pd.DataFrame:
    """List the genes that set each cluster apart, for display; no test over cells is made.

    Genes are ranked by log2 fold change of the mean rate times the difference in detection, over the
    genes that every dataset measured.

    Parameters
    ----------
    cells
        Cells x genes, raw counts.
    groups
        Cluster of each cell.
    named
        Lineage and cell type of each cluster.

    Returns
    -------
    pandas.DataFrame
        The table ``markers`` of :func:`annotate_clusters`: :data:`N_MARKERS` genes a cluster, best
        first.
    """
    use = cells.varm["measured"].all(axis=1).to_numpy()
    genes = cells.var_names[use]
    counts = sparse.csr_matrix(cells.X)
    scale = sparse.diags(1e4 / np.asarray(counts.sum(axis=1)).ravel())
    rates = (scale @ counts[:, use]).tocsr()
    order = named["cluster"].tolist()
    codes = pd.Categorical(groups, categories=order).codes
    member = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    sizes = np.asarray(member.sum(axis=1))
    inside, detected = (member @ rates).toarray(), (member @ (rates > 0)).toarray()
    others = np.maximum(len(codes) - sizes, 1)
    mean_in, mean_out = inside / sizes, (inside.sum(axis=0) - inside) / others
    pct_in, pct_out = detected / sizes, (detected.sum(axis=0) - detected) / others
    change = np.log2((mean_in + 0.05) / (mean_out + 0.05))
    score = change * (pct_in - pct_out)
    rows = []
    for number, cluster in enumerate(order):
        best = np.argsort(-score[number], kind="stable")[:N_MARKERS]
        rows.append(
            pd.DataFrame(
                {
                    "cluster": cluster,
                    "gene": genes[best],
                    "log2_fold_change": change[number, best],
                    "pct_in": 100 * pct_in[number, best],
                    "pct_out": 100 * pct_out[number, best],
                    "score": score[number, best],
                }
            )
        )
    table = pd.concat(rows).merge(named[["cluster", "lineage", "cell_type"]], on="cluster")
    first = ["cluster", "lineage", "cell_type", "gene"]
    return table[[*first, *table.columns.difference(first, sort=False)]]

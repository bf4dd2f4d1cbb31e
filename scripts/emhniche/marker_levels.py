"""How much of its first markers does each cluster hold, and how much do all the others?

A marker is a claim about one cluster; the table sets its level there beside that in every other
cluster, so that a reader sees whether it is that cluster's own.
"""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

N_SHOWN = 3
"""Markers of each cluster whose level is listed."""

COLUMNS = ("cluster", "gene", "marker_of", "n_cells", "pct_cells", "mean_level")


def marker_levels(cells: ad.AnnData, clusters: pd.Series, markers: pd.DataFrame) -> pd.DataFrame:
    """Measure the first markers of each cluster in every cluster.

    Parameters
    ----------
    cells
        Cells x genes, raw counts.
    clusters
        Cluster of each cell, indexed by ``cell_id``.
    markers
        ``cluster``, ``gene`` and ``ambient`` (bool), best first within a cluster; ambient ones are
        left out.

    Returns
    -------
    pandas.DataFrame
        One row a gene and cluster, genes in the order of the clusters that they mark, clusters by
        number: ``cluster``, ``gene``, ``marker_of`` (the first cluster that the gene is one of the
        :data:`N_SHOWN` first markers of), ``n_cells`` (of the cluster), ``pct_cells`` (cells with
        a count of the gene, in %) and ``mean_level`` (mean over the cells of
        ``log(1 + counts per 10,000)``, natural logarithm). No rows without markers.
    """
    first = markers[~markers["ambient"].astype(bool)].groupby("cluster", sort=False).head(N_SHOWN)
    first = first.drop_duplicates("gene")
    if first.empty:
        return pd.DataFrame(columns=[*COLUMNS])
    own = clusters.reindex(cells.obs_names).astype(str)
    order = sorted(own.unique(), key=int)
    codes = pd.Categorical(own, categories=order).codes
    counts = sparse.csr_matrix(cells.X)
    depth = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0)
    counts = counts[:, cells.var_names.get_indexer(first["gene"])]
    levels = (sparse.diags(1e4 / depth) @ counts).log1p()
    n_cells = np.bincount(codes, minlength=len(order))
    member = sparse.csr_matrix((1 / n_cells[codes], (codes, np.arange(len(codes)))))
    table = pd.DataFrame(
        {
            "cluster": np.tile(order, len(first)),
            "gene": np.repeat(first["gene"].to_numpy(), len(order)),
            "marker_of": np.repeat(first["cluster"].astype(str).to_numpy(), len(order)),
            "n_cells": np.tile(n_cells, len(first)),
            "pct_cells": 100 * (member @ (counts > 0)).toarray().ravel(order="F"),
            "mean_level": (member @ levels).toarray().ravel(order="F"),
        }
    )
    return table[[*COLUMNS]]

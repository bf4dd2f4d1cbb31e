"""What is each cluster: which lineage, which cell type, and how sure is that?

A cluster is named from its pooled counts by marker sets (:mod:`emhniche.lineage`): first the
lineage, then a cell type within it. Integration can lay unlike cells of two datasets on top of each
other, so a cluster's part in each dataset is named on its own, and where the parts disagree the
table says so. No published label and no panel gene takes part: labels can test the names, and panel
claims are not circular. What no set fits stays ``unresolved``.
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

MIN_PART_CELLS = 10
"""A smaller part of a cluster in a dataset takes the name of the whole cluster."""

_TISSUE = {"marrow": "marrow", "extramedullary": "spleen"}
"""Which tissue's marker sets the cells of each niche are offered."""

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
        Cells x genes, raw counts; ``obs`` with ``dataset`` and ``niche``.
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
        ``cell_id``, ``lineage``, ``cell_type``, ``confidence`` (of the lineage).
    named : pandas.DataFrame
        One row a cluster (``dataset`` is empty) and one a part of it in a dataset: ``cluster``,
        ``dataset``, ``n_cells``, ``lineage``, ``cell_type``, ``confidence``,
        ``cell_type_confidence``, ``score``, ``runner_up``, ``margin``, ``agreement`` (share of the
        cluster's cells whose own part has the cluster's lineage).
    markers : pandas.DataFrame
        ``cluster``, ``lineage``, ``cell_type``, ``gene``, ``log2_fold_change``, ``pct_in``,
        ``pct_out``, ``score``.
    """
    obs = pd.DataFrame(
        {
            "cluster": clusters.reindex(cells.obs_names).astype(str),
            "dataset": cells.obs["dataset"].astype(str),
            "niche": cells.obs["niche"].astype(str),
        }
    )
    limits = {"min_confidence": min_confidence, "n_resamples": n_resamples, "seed": seed}
    named = name_parts(cells, obs, lineages, min_score=min_score, **limits)
    own = _own_part(obs, named)
    annotation = own[["lineage", "cell_type", "confidence"]].reset_index(drop=True)
    annotation.insert(0, CELL_ID, cells.obs_names.astype(str))
    whole = named[named["dataset"] == ""].set_index("cluster")
    agrees = own["lineage"].to_numpy() == whole["lineage"].reindex(obs["cluster"]).to_numpy()
    agreement = pd.Series(agrees).groupby(obs["cluster"].to_numpy()).mean()
    named["agreement"] = named["cluster"].map(agreement)
    logger.info("%d of %d clusters named", (whole["lineage"] != UNRESOLVED).sum(), len(whole))
    return annotation, named, cluster_markers(cells, obs["cluster"], whole.reset_index())


def name_parts(
    cells: ad.AnnData,
    obs: pd.DataFrame,
    lineages: pd.DataFrame,
    *,
    min_score: float,
    min_confidence: float,
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Give each cluster, and its part in each dataset, a lineage and where one fits a cell type.

    Parameters are those of :func:`annotate_clusters`, with ``cluster``, ``dataset`` and
    ``niche`` of each cell in `obs`.

    Returns
    -------
    pandas.DataFrame
        The table ``named`` of :func:`annotate_clusters` without ``agreement``, by cluster.
    """
    limits = {"min_confidence": min_confidence, "n_resamples": n_resamples, "seed": seed}
    coarse, fine = marker_sets(lineages, finer=False), marker_sets(lineages, finer=True)
    sets = pd.concat([coarse, fine])
    genes = pd.concat([sets["positive"], sets["negative"]]).explode().dropna().unique()
    parts = _parts(obs)
    rates = pd.concat([group_rates(cells, part, genes) for part in parts])
    keys = pd.concat([_describe(obs, part) for part in parts]).reindex(rates.index)
    rates, keys = rates[keys["listed"]], keys[keys["listed"]]
    named = name_groups(rates, coarse, min_score=min_score, **limits)
    named = named.rename(columns={"best": "lineage"})
    named["cell_type"], named["cell_type_confidence"] = named["lineage"], named["confidence"]
    for (lineage, niche), rows in named.groupby([named["lineage"], keys["niche"]]):
        own = fine[(fine["lineage"] == lineage) & fine["tissue"].isin(["any", _TISSUE[niche]])]
        if own.empty or lineage == UNRESOLVED:
            continue
        finer = name_groups(rates, own, min_score=min_score, **limits).loc[rows.index]
        fits = finer.index[finer["best"] != UNRESOLVED]
        named.loc[fits, "cell_type"] = finer.loc[fits, "best"]
        named.loc[fits, "cell_type_confidence"] = finer.loc[fits, "confidence"]
    table = keys[["cluster", "dataset", "n_cells"]].join(named)
    order = np.lexsort((table["dataset"], table["cluster"].astype(int)))
    columns = ["cluster", "dataset", "n_cells", "lineage", "cell_type", "confidence"]
    return table.iloc[order][
        [*columns, "cell_type_confidence", "score", "runner_up", "margin"]
    ].reset_index(drop=True)


def _parts(obs: pd.DataFrame) -> list[pd.Series]:
    """Two groupings of the cells: by cluster, and by cluster and dataset."""
    return [obs["cluster"] + "|", obs["cluster"] + "|" + obs["dataset"]]


def _describe(obs: pd.DataFrame, part: pd.Series) -> pd.DataFrame:
    """Cluster, dataset (empty for a whole cluster), size and main niche of each group."""
    table = obs.groupby(part).agg(
        cluster=("cluster", "first"),
        n_cells=("cluster", "size"),
        niche=("niche", lambda values: values.value_counts().sort_index().idxmax()),
    )
    table["dataset"] = table.index.str.split("|", n=1).str[1]
    table["listed"] = (table["dataset"] == "") | (table["n_cells"] >= MIN_PART_CELLS)
    return table


def _own_part(obs: pd.DataFrame, named: pd.DataFrame) -> pd.DataFrame:
    """Return the row of `named` that holds for each cell: of its part, else of its cluster."""
    rows = named.set_index(named["cluster"] + "|" + named["dataset"])
    whole, part = _parts(obs)
    return rows.loc[part.where(part.isin(rows.index), whole)]


def cluster_markers(cells: ad.AnnData, groups: pd.Series, named: pd.DataFrame) -> pd.DataFrame:
    """List the genes that set each cluster apart, for display; no test over cells is made.

    Genes are ranked by log2 fold change of the mean rate times the difference in detection, over
    the genes that every dataset measured.

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

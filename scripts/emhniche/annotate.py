"""What is each cluster: which lineage, which cell type, and how sure is that?

A cluster is named from its pooled counts by marker sets (:mod:`emhniche.lineage`): first the
lineage, then a cell type within it. Integration can lay unlike cells of two datasets on top of each
other, so a cluster's part in each dataset and tissue is named on its own, and where the parts
disagree the table says so. No published label and no panel gene takes part: labels can test the
names, and panel claims are not circular. What no set fits stays ``unresolved``.
"""

import logging

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import CELL_ID
from emhniche.lineage import UNRESOLVED, group_rates, marker_sets, name_groups
from emhniche.marker_evidence import compare_donors, rank_areas

N_MARKERS = 25
"""Marker genes listed a cluster."""

MIN_PART_CELLS = 10
"""A smaller part of a cluster takes the lineage of the whole cluster, and no cell type."""

FINE_MIN_SCORE = 0.4
"""A cell type's set must score this to name a group; the lineage is known by then. Ours."""

_SETS_OF = {"bone marrow": "marrow", "spleen": "spleen"}
"""Marker sets that the cells of a tissue are offered beside those of any tissue."""

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
        Cells x genes, raw counts; ``obs`` with ``dataset``, ``tissue``, ``sample``, ``donor`` and
        ``donor_known``.
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
        One row a cluster (``dataset`` and ``tissue`` are empty) and one a part of it in a dataset
        and tissue: ``cluster``, ``dataset``, ``tissue``, ``n_cells``, ``lineage``, ``cell_type``,
        ``confidence``, ``cell_type_confidence``, ``score``, ``runner_up``, ``margin``,
        ``agreement`` (share of the cluster's cells whose own part has the cluster's lineage),
        ``found_again`` (of the cluster) and ``marker`` (its first marker gene, by which a cluster
        is known in another run; empty without one).
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
        }
    )
    limits = {"min_confidence": min_confidence, "n_resamples": n_resamples, "seed": seed}
    named = name_parts(cells, obs, lineages, min_score=min_score, **limits)
    own = _own_part(obs, named)
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
    """Give each cluster and each part of it a lineage, and where one fits a cell type.

    Parameters are those of :func:`annotate_clusters`, with ``cluster``, ``dataset`` and
    ``tissue`` of each cell in `obs`.

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
    for (lineage, tissue), rows in named.groupby([named["lineage"], keys["main_tissue"]]):
        offered = fine["tissue"].isin(["any", "both", _SETS_OF.get(tissue)])
        own = fine[(fine["lineage"] == lineage) & offered]
        if own.empty or lineage == UNRESOLVED:
            continue
        among = rates[named["lineage"] == lineage]
        finer = name_groups(among, own, min_score=FINE_MIN_SCORE, **limits).loc[rows.index]
        fits = finer.index[finer["best"] != UNRESOLVED]
        named.loc[fits, "cell_type"] = finer.loc[fits, "best"]
        named.loc[fits, "cell_type_confidence"] = finer.loc[fits, "confidence"]
    table = keys[["cluster", "dataset", "tissue", "n_cells"]].join(named)
    order = np.lexsort((table["tissue"], table["dataset"], table["cluster"].astype(int)))
    columns = ["cluster", "dataset", "tissue", "n_cells", "lineage", "cell_type", "confidence"]
    return table.iloc[order][
        [*columns, "cell_type_confidence", "score", "runner_up", "margin"]
    ].reset_index(drop=True)


def _parts(obs: pd.DataFrame) -> list[pd.Series]:
    """Two groupings of the cells: by cluster, and by cluster, dataset and tissue."""
    return [obs["cluster"] + "||", obs["cluster"] + "|" + obs["dataset"] + "|" + obs["tissue"]]


def _describe(obs: pd.DataFrame, part: pd.Series) -> pd.DataFrame:
    """Say of each group its cluster, dataset, tissue (empty for a whole cluster) and size."""
    table = obs.groupby(part).agg(
        cluster=("cluster", "first"),
        n_cells=("cluster", "size"),
        main_tissue=("tissue", lambda values: values.value_counts().sort_index().idxmax()),
    )
    table[["dataset", "tissue"]] = [name.split("|")[1:] for name in table.index]
    table["listed"] = (table["dataset"] == "") | (table["n_cells"] >= MIN_PART_CELLS)
    return table


def _own_part(obs: pd.DataFrame, named: pd.DataFrame) -> pd.DataFrame:
    """Return the row of `named` that holds for each cell: of its part, else of its cluster.

    From its cluster a cell takes the lineage only: the cell type may be of another tissue.
    """
    rows = named.set_index(named["cluster"] + "|" + named["dataset"] + "|" + named["tissue"])
    whole, part = _parts(obs)
    small = ~part.isin(rows.index)
    own = rows.loc[part.where(~small, whole)].reset_index(drop=True)
    own["cell_type"] = own["cell_type"].where(~small.to_numpy(), own["lineage"])
    return own


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

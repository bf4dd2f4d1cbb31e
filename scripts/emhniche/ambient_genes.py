"""Which genes of a run are ambient, and in which cells do their counts say nothing of the cell?

A gene is on a dataset's ambient list when ``resources/ambient.tsv`` names it, or when it makes more
than :data:`SOUP_SHARE` of the soup of one of its libraries. Being on the list condemns nothing:
S100a8 is a neutrophil's own. Whether the soup explains the counts of a lineage or cluster is judged
library by library (:mod:`emhniche.ambient`), and summed over libraries as in the niche stage:
counts are ambient where at least half of them lie in libraries whose soup explains them. So all
libraries of a dataset are treated alike, whether they have much soup or little.

Counts that are ambient are taken from scores, so doubt is for the cell: where a library's
contamination is not known nothing of it is ambient, and neither is anything of cells without a
lineage, which may be of any.
"""

from collections.abc import Mapping

import anndata as ad
import numpy as np
import pandas as pd

from emhniche.ambient import judge_groups
from emhniche.io import CELL_ID
from emhniche.pseudobulk import UNRESOLVED, sum_cells
from emhniche.resources import LINEAGES

SOUP_SHARE = 0.001
"""Share of a library's soup from which a gene is on its list: at 5 % contamination one cell of ten
with 2,000 counts holds one that is not its own. Ours."""

OF_SOUP = "soup"
"""Kind of a gene that is on the list for its share of the soup alone."""

COLUMNS = (
    *("dataset", "lineage", "gene", "kind", "libraries", "libraries_ambient", "soup_share"),
    *("counts", "expected", "top_source", "ambient"),
)

MIN_SHARE = 0.5
"""Share of the counts that must lie in libraries whose soup explains them."""


def ambient_genes(cells: ad.AnnData, lineage: pd.Series, listed: pd.DataFrame) -> pd.DataFrame:
    """List the ambient genes of every dataset, and say in which lineages the soup explains them.

    Parameters
    ----------
    cells
        Cells x genes, raw counts, in memory or backed; ``obs`` and ``varm`` as
        :func:`emhniche.pseudobulk.sum_cells` needs them, with ``dataset``.
    lineage
        Lineage of each cell, in the order of `cells`.
    listed
        As :func:`emhniche.resources.load_ambient` returns it.

    Returns
    -------
    pandas.DataFrame
        One row a dataset, lineage and gene of the list that has a count: ``dataset``, ``lineage``,
        ``gene``, ``kind`` (of `listed`, else :data:`OF_SOUP`), ``libraries`` (that hold the
        lineage), ``libraries_ambient`` (of these, where the soup explains its counts),
        ``soup_share`` (mean share of the soup over them), ``counts`` (of the lineage),
        ``expected`` (of these from the soup; NaN where the contamination of a library is not
        known), ``top_source`` (the other lineage with the highest rate in the library with most
        counts; empty where none is a source) and ``ambient``.
    """
    bulk = sum_cells(cells, _annotation(cells, lineage, lineage), [])
    kinds = listed.set_index("gene")["kind"]
    dataset = bulk.samples["dataset"].astype(str)
    much = bulk.soup.T.groupby(dataset).max().T > SOUP_SHARE
    much[bulk.genes.isin(kinds.index)] = True
    known = much.index[much.any(axis=1)]
    table = judge_groups(bulk, known, "lineage", foreign_genes(listed))
    table["dataset"] = table["sample"].map(dataset)
    soup = bulk.soup.loc[known].stack().rename("soup_share").rename_axis(["gene", "sample"])
    table = table.join(soup, on=["gene", "sample"])
    on_list = much.loc[known].stack().rename("on_list").rename_axis(["gene", "dataset"])
    table = table[table.join(on_list, on=["gene", "dataset"])["on_list"].to_numpy()]
    table["kind"] = table["gene"].map(kinds).fillna(OF_SOUP)
    table["ambient"] &= table["contamination"].notna() & (table["group"] != UNRESOLVED)
    table["held"] = table["counts"].where(table["ambient"], 0.0)
    table["expected"] = table["expected"].where(table["contamination"].notna())
    table["top_source"] = table["top_source"].fillna("")
    table = table.sort_values("counts", ascending=False, kind="stable")
    found = table.rename(columns={"group": "lineage"}).groupby(["dataset", "lineage", "gene"])
    found = found.agg(
        kind=("kind", "first"),
        libraries=("sample", "size"),
        libraries_ambient=("ambient", "sum"),
        soup_share=("soup_share", "mean"),
        counts=("counts", "sum"),
        expected=("expected", lambda parts: parts.sum(skipna=False)),
        top_source=("top_source", "first"),
        held=("held", "sum"),
    ).reset_index()
    found["ambient"] = _explained(found)
    return found.loc[found["counts"] > 0, list(COLUMNS)].reset_index(drop=True)


def foreign_genes(listed: pd.DataFrame) -> Mapping[str, set[str]]:
    """Return for each lineage the listed genes that it does not make.

    Parameters
    ----------
    listed
        As :func:`emhniche.resources.load_ambient` returns it.

    Returns
    -------
    dict of set
        Lineage -> genes; unresolved cells may make any.
    """
    makers = listed.set_index("gene")["lineages"]
    return {
        lineage: {gene for gene, own in makers.items() if lineage not in own}
        for lineage in LINEAGES
        if lineage != UNRESOLVED
    }


def flag_markers(
    cells: ad.AnnData,
    clusters: pd.Series,
    named: pd.DataFrame,
    markers: pd.DataFrame,
    listed: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Flag the markers whose counts in their cluster ambient RNA explains, and put them last.

    Parameters
    ----------
    cells
        As :func:`ambient_genes` takes them.
    clusters
        Cluster of each cell, indexed by ``cell_id``.
    named
        ``lineage`` of each ``cluster``, in its first row: what the lineage makes is its own.
    markers
        ``cluster``, ``gene`` and further columns, best first within a cluster.
    listed
        As :func:`emhniche.resources.load_ambient` returns it.

    Returns
    -------
    markers : pandas.DataFrame
        The rows of `markers` with ``ambient`` (bool): of each cluster its own ones first, then
        those that the soup explains.
    named : pandas.DataFrame
        `named` with ``marker``, the first marker of each cluster that is its own; empty without.
    """
    if markers.empty:
        return markers.assign(ambient=pd.Series(dtype=bool)), named.assign(marker="")
    own = clusters.reindex(cells.obs_names).astype(str)
    lineage = own.map(named.drop_duplicates("cluster").set_index("cluster")["lineage"])
    bulk = sum_cells(cells, _annotation(cells, lineage, own), [])
    genes = pd.Index(markers["gene"].unique())
    table = judge_groups(bulk, genes, "cell_type", foreign_genes(listed))
    table["ambient"] &= table["contamination"].notna()
    table["held"] = table["counts"].where(table["ambient"], 0.0)
    sums = table.groupby(["group", "gene"])[["counts", "held"]].sum()
    pairs = pd.MultiIndex.from_frame(markers[["cluster", "gene"]].astype(str))
    flagged = markers.assign(ambient=_explained(sums).reindex(pairs).to_numpy(dtype=bool))
    place = flagged.groupby("cluster", sort=False).ngroup()
    order = np.lexsort((np.arange(len(flagged)), flagged["ambient"], place))
    flagged = flagged.iloc[order].reset_index(drop=True)
    first = flagged[~flagged["ambient"]].drop_duplicates("cluster").set_index("cluster")["gene"]
    return flagged, named.assign(marker=[first.get(one, "") for one in named["cluster"]])


def _annotation(cells: ad.AnnData, lineage: pd.Series, kind: pd.Series) -> pd.DataFrame:
    """Return lineage and cell type of each cell as :func:`sum_cells` takes them."""
    names = (np.asarray(values, dtype=str) for values in (lineage, kind))
    return pd.DataFrame(dict(zip(("lineage", "cell_type"), names, strict=True))).assign(
        **{CELL_ID: cells.obs_names}
    )


def _explained(sums: pd.DataFrame) -> pd.Series:
    """Tell where at least half of the counts lie in libraries whose soup explains them."""
    return (sums["counts"] > 0) & (sums["held"] >= MIN_SHARE * sums["counts"])

"""Which cells make each gene of the panel, in each niche?

Three readings, since one misleads: the share of cells in which the gene is seen (detection), its
level (log CPM), and the share of all its transcripts in the tissue that these cells hold, which is
level times abundance. The last one can only be read where cells were not sorted.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from emhniche.pseudobulk import Pseudobulk

DESCRIBED = "described"
"""Status of a number that describes the data and is no comparison."""

COLUMNS = (
    *("axis", "role", "gene", "niche", "tissue", "dataset", "condition", "lineage", "cell_type"),
    *("n_cells", "counts", "detection", "logcpm", "share_of_tissue", "share_counts", "status"),
    *("ambient", "reason", "tier"),
)

_PLACE = ["niche", "tissue", "dataset", "condition"]


def describe_production(
    bulk: Pseudobulk,
    panel: pd.DataFrame,
    ambient: Mapping[str, pd.DataFrame],
    *,
    min_cells: int,
    min_counts: int,
) -> pd.DataFrame:
    """Describe where each panel gene is made, by niche, dataset, condition and cell type.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    panel
        ``axis``, ``role``, ``tier`` and ``gene``, one row a gene.
    ambient
        For each level, groups of `bulk` x panel genes: ambient RNA explains the counts (bool).
    min_cells
        Cells of a type below which detection and level are not given.
    min_counts
        Counts of a gene in all cells of a place below which it is not testable there.

    Returns
    -------
    pandas.DataFrame
        ``niche/production.tsv``; ``docs/niche.md`` explains the columns.
    """
    sheet = bulk.samples.reindex(columns=[*_PLACE, "enrichment"]).astype(object).fillna("")
    groups = bulk.groups.join(sheet, on="sample")
    held = bulk.dense(list(bulk.detected.columns))
    soup = held.where(ambient["cell_type"], 0.0)
    total = pd.Series(bulk.counts.sum(axis=1).A1, index=groups.index)
    tables = []
    for place, here in groups.groupby(_PLACE):
        rows = here.index
        keys = [here["lineage"], here["cell_type"]]
        counts, soup_here = (table.loc[rows].groupby(keys).sum() for table in (held, soup))
        cells = here["n_cells"].groupby(keys).sum()
        whole = here["enrichment"].isin(["none", ""])
        share = held.loc[rows[whole]].groupby([key[whole] for key in keys]).sum()
        share = share.reindex(counts.index, fill_value=0.0)
        basis = share.sum().where(share.sum() >= min_counts)
        numbers = {
            "counts": counts,
            "detection": bulk.detected.loc[rows].groupby(keys).sum().div(cells, axis=0),
            "logcpm": np.log2(1 + counts.div(total[rows].groupby(keys).sum(), axis=0) * 1e6),
            "share_of_tissue": share / basis,
            "share_counts": share * 0 + basis,
            "ambient": (soup_here >= 0.5 * counts) & (counts > 0),
        }
        measured = bulk.measured[place[_PLACE.index("dataset")]]
        table = _long(numbers, panel).join(cells.rename("n_cells"), on=["lineage", "cell_type"])
        table["measured"] = measured.reindex(table["gene"], fill_value=False).to_numpy()
        table = _judge(table, bool(whole.any()), min_cells, min_counts)
        tables.append(table.assign(**dict(zip(_PLACE, place, strict=True))))
    table = pd.concat(tables, ignore_index=True).merge(panel[["gene", "axis", "role", "tier"]])
    table = table.astype({"counts": "Int64", "share_counts": "Int64"})
    order = ["tier", "axis", "gene", *_PLACE, "lineage", "cell_type"]
    return table.sort_values(order, ignore_index=True)[[*COLUMNS]]


def _long(numbers: Mapping[str, pd.DataFrame], panel: pd.DataFrame) -> pd.DataFrame:
    """Turn tables of cell types x genes into one row a cell type and panel gene."""
    columns = {
        name: table.reindex(columns=panel["gene"]).rename_axis(columns="gene").stack()
        for name, table in numbers.items()
    }
    return pd.DataFrame(columns).reset_index()


def _judge(table: pd.DataFrame, whole: bool, min_cells: int, min_counts: int) -> pd.DataFrame:
    """Say of each row what may be read from it; blank what may not."""
    seen = table.groupby("gene")["counts"].transform("sum")
    few = seen.map("{:.0f} counts in all cells, ".format) + f"{min_counts} are needed"
    rare = table["n_cells"].map("{} such cells, ".format) + f"{min_cells} are needed"
    gate = "share: every library was sorted or enriched, which set how frequent the cells are"
    scarce = f"share: fewer than {min_counts} counts in the libraries that were not sorted"
    table["status"], table["reason"] = DESCRIBED, ""
    unreadable = table["share_of_tissue"].isna()
    for failing, status, why in (
        (unreadable, "not_identifiable", scarce if whole else gate),
        (table["n_cells"] < min_cells, "not_testable", rare),
        (seen < min_counts, "not_testable", few),
        (~table["measured"], "not_testable", "the dataset does not measure it"),
    ):
        table["status"] = table["status"].mask(failing, status)
        table["reason"] = table["reason"].mask(failing, why)
    hidden = table["status"] == "not_testable"
    table.loc[hidden, ["detection", "logcpm"]] = np.nan
    table.loc[~table["measured"], "counts"] = np.nan
    table["ambient"] = table["ambient"].fillna(False).astype(bool) & table["measured"]
    return table

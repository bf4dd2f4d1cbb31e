"""What is the soup of a library made of, and how much of it do its cells hold?

The droplets without a cell show it, where the file holds them: read off by their number of counts,
or told from cells by CellBender (:mod:`emhniche.cellbender`). In a file of called cells the average
of the library stands in for it.
"""

from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.ambient import explained_by_ambient
from emhniche.cellbender import Estimate
from emhniche.droplets import empty_droplets
from emhniche.lineage import UNRESOLVED

N_AMBIENT_GENES = 20
"""Genes explained by ambient RNA that are listed at most for each lineage."""

CELL_PROBABILITY = 0.5
"""A droplet holds a cell when CellBender gives it more than this (Fleming 2023, doi
10.1038/s41592-023-01943-7)."""


@dataclass(frozen=True)
class Soup:
    """The soup of one library.

    Attributes
    ----------
    source
        Whose profile it is: ``droplets`` (those without a cell), ``library`` (all barcodes, in a
        file of called cells) or ``cellbender``.
    profile
        Share of the soup that each gene makes.
    n_empty
        Droplets without a cell that the file holds (:data:`EMPTY_BELOW`); 0 in a file of called
        cells.
    cell
        One bool a barcode: whether it holds a cell. All True where nobody told them apart.
    share
        Share of each barcode's counts that is soup; NaN where not measured barcode by barcode.
    """

    source: str
    profile: pd.Series
    n_empty: int
    cell: np.ndarray
    share: np.ndarray


def find_soup(counts: ad.AnnData, estimate: Estimate | None) -> Soup:
    """Return the soup of one library.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts.
    estimate
        What CellBender says of it; None where it was not asked, or the file holds called cells.

    Returns
    -------
    Soup
    """
    empty = empty_droplets(counts.X)
    cell, share = np.ones(counts.n_obs, dtype=bool), np.full(counts.n_obs, np.nan)
    if estimate is not None:
        droplets = estimate.droplets.set_index("barcode").reindex(counts.obs_names)
        cell = (droplets["cell_probability"] > CELL_PROBABILITY).to_numpy()
        share = droplets["ambient"].to_numpy(dtype=float)
        profile = estimate.profile.reindex(counts.var_names).fillna(0.0)
        return Soup("cellbender", profile, int(empty.sum()), cell, np.where(cell, share, np.nan))
    made_of = empty if empty.any() else np.ones(counts.n_obs, dtype=bool)
    total = np.asarray(counts.X[made_of].sum(axis=0), dtype=float).ravel()
    profile = pd.Series(total / max(total.sum(), 1.0), index=counts.var_names)
    source = "droplets" if empty.any() else "library"
    return Soup(source, profile, int(empty.sum()), cell, share)


def ambient_by_lineage(
    counts: ad.AnnData, lineage: pd.Series, soup: Soup, doublet: np.ndarray
) -> tuple[np.ndarray, pd.DataFrame]:
    """Estimate how much of each lineage's RNA is soup, and which genes the soup brings.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts.
    lineage
        Coarse lineage of each barcode.
    soup
        Of the library. Where it has no share of each barcode, that of each lineage is estimated.
    doublet
        One bool a barcode: called a doublet. What its second cell makes is no soup, so it takes no
        part; it has the share of its lineage.

    Returns
    -------
    share : numpy.ndarray
        Estimated ambient share of each barcode's counts by CellBender, or else of its lineage's;
        NaN with one lineage only, where there is nothing to tell soup from a cell's own RNA.
    genes : pandas.DataFrame
        Genes explained by ambient RNA: ``gene``, ``lineage``, ``counts``, ``cells_detected``,
        ``n_cells``, ``top_source``, most counts first, at most :data:`N_AMBIENT_GENES` a lineage.
    """
    columns = ["gene", "lineage", "counts", "cells_detected", "n_cells", "top_source"]
    names, codes = np.unique(lineage.to_numpy(dtype=str), return_inverse=True)
    named = names != UNRESOLVED
    if named.sum() < 2:
        return soup.share, pd.DataFrame(columns=columns)
    single = soup.cell & ~doublet
    member = sparse.csr_matrix((single.astype(float), (codes, np.arange(len(codes)))))
    pooled = pd.DataFrame((member @ counts.X).toarray(), index=names, columns=counts.var_names)
    known = _lineage_share(counts, lineage, soup)
    judged = explained_by_ambient(pooled.loc[named], soup.profile, contamination=known)
    flagged = judged[judged["ambient"]].sort_values(["counts", "gene"], ascending=[False, True])
    flagged = flagged.groupby("group", sort=False).head(N_AMBIENT_GENES)
    flagged = flagged.rename(columns={"group": "lineage"})
    detected = pd.DataFrame((member @ (counts.X > 0)).toarray(), names, counts.var_names)
    sizes = dict(zip(names, np.asarray(member.sum(axis=1)).ravel(), strict=True))
    pairs = list(zip(flagged["lineage"], flagged["gene"], strict=True))
    flagged["cells_detected"] = [int(detected.at[pair]) for pair in pairs]
    flagged["n_cells"] = [int(sizes[name]) for name, _ in pairs]
    if soup.source == "cellbender":
        return soup.share, flagged[columns]
    share = judged.drop_duplicates("group").set_index("group")["contamination"]
    return share.reindex(lineage.to_numpy()).to_numpy(), flagged[columns]


def _lineage_share(counts: ad.AnnData, lineage: pd.Series, soup: Soup) -> pd.Series | None:
    """Return each lineage's ambient share, by the counts of its cells; None where not measured."""
    if soup.source != "cellbender":
        return None
    depth = np.where(np.isnan(soup.share), 0.0, np.asarray(counts.X.sum(axis=1)).ravel())
    held = pd.DataFrame({"soup": depth * np.nan_to_num(soup.share), "all": depth})
    total = held.groupby(lineage.to_numpy(dtype=str)).sum()
    return total["soup"] / total["all"].where(total["all"] > 0)

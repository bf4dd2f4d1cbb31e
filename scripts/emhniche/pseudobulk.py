"""How much of each gene do the cells of one type in one library hold together?

Counts are summed over the cells of a library and cell type (pseudobulk), since the library's
donor, and not the cell, is the witness. The matrix is read in blocks of rows, so it may stay on
disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.carriers import carried_counts
from emhniche.errors import InputError
from emhniche.lineage import UNRESOLVED

LEVELS = ("lineage", "cell_type")
"""The two levels at which cells are grouped, coarse first."""

_BLOCK = 20_000


@dataclass(frozen=True)
class Pseudobulk:
    """Counts summed over cells.

    Attributes
    ----------
    groups
        One row a library and cell type: ``sample``, ``lineage``, ``cell_type``, ``n_cells``,
        ``contamination`` (ambient share of the counts, NaN where not known). Sorted.
    counts
        Groups x genes, summed raw counts (CSR).
    detected
        Groups x genes of interest: cells with a count.
    carried
        Groups x genes of interest: counts in cells that hold a lineage which makes the gene beside
        their own, such as two cells in a droplet (:mod:`emhniche.carriers`).
    genes
        Columns of `counts`.
    measured
        Genes x datasets, bool: the dataset's matrix holds the gene.
    soup
        Genes x samples: fraction of the ambient RNA that each gene makes.
    samples
        One row a library, indexed by sample: the columns of the sample sheet.
    """

    groups: pd.DataFrame
    counts: sparse.csr_matrix
    detected: pd.DataFrame
    carried: pd.DataFrame
    genes: pd.Index
    measured: pd.DataFrame
    soup: pd.DataFrame
    samples: pd.DataFrame

    def labels(self, level: str) -> list[str]:
        """Return the names at a level, sorted.

        Parameters
        ----------
        level
            ``lineage`` or ``cell_type``.

        Returns
        -------
        list of str
            Names, without :data:`UNRESOLVED`.
        """
        return sorted(set(self.groups[level]) - {UNRESOLVED})

    def lineage_of(self) -> pd.Series:
        """Return the lineage of each cell type."""
        return self.groups.drop_duplicates("cell_type").set_index("cell_type")["lineage"]

    def dense(self, genes: Sequence[str]) -> pd.DataFrame:
        """Return the counts of a few genes.

        Parameters
        ----------
        genes
            Names; those that no dataset measured are left out.

        Returns
        -------
        pandas.DataFrame
            Groups x genes.
        """
        known = [gene for gene in genes if gene in self.genes]
        columns = self.genes.get_indexer(known)
        return pd.DataFrame(self.counts[:, columns].toarray(), self.groups.index, known)


def sum_cells(cells: ad.AnnData, annotation: pd.DataFrame, genes: Sequence[str]) -> Pseudobulk:
    """Sum raw counts over the cells of each library and cell type.

    Parameters
    ----------
    cells
        Cells x genes, raw counts, in memory or backed. ``obs`` holds the sample sheet and
        ``n_counts`` and ``ambient`` of qc; ``varm`` holds ``measured`` (genes x datasets) and
        ``ambient`` (genes x samples).
    annotation
        ``cell_id``, ``lineage`` and ``cell_type``, one row a cell.
    genes
        Genes in which cells are counted, and looked for in cells that hold two lineages.

    Returns
    -------
    Pseudobulk
        The sums.

    Raises
    ------
    InputError
        When a cell has no annotation.
    """
    obs = cells.obs.join(annotation.set_index("cell_id")[list(LEVELS)])
    missing = obs.index[obs["lineage"].isna()]
    if len(missing):
        raise InputError(
            f"annotation: cell '{missing[0]}' and {len(missing) - 1} more have no row; annotate "
            "the cells of the same run"
        )
    keys = obs[["sample", *LEVELS]].astype(str)
    groups = keys.drop_duplicates().sort_values(list(keys.columns)).reset_index(drop=True)
    codes = pd.MultiIndex.from_frame(groups).get_indexer(pd.MultiIndex.from_frame(keys))
    known = [gene for gene in genes if gene in cells.var_names]
    columns = cells.var_names.get_indexer(known)
    counts = sparse.csr_matrix((len(groups), cells.n_vars))
    detected = np.zeros((len(groups), len(known)))
    for start in range(0, cells.n_obs, _BLOCK):
        block = sparse.csr_matrix(cells.X[start : start + _BLOCK]).astype(float)
        part = codes[start : start + _BLOCK]
        member = sparse.csr_matrix(
            (np.ones(len(part)), (part, np.arange(len(part)))), (len(groups), len(part))
        )
        counts = counts + member @ block
        detected += member @ (block[:, columns] > 0)
    groups["n_cells"] = np.bincount(codes, minlength=len(groups))
    groups["contamination"] = _weighted_mean(obs["ambient"], obs["n_counts"], codes, len(groups))
    sheet = obs.drop_duplicates("sample").set_index(obs.drop_duplicates("sample")["sample"])
    sheet.index = sheet.index.astype(str)
    counts = sparse.csr_matrix(counts)
    soup = pd.DataFrame(cells.varm["ambient"], index=cells.var_names)
    carried = carried_counts(cells, codes, groups, counts, soup, known, block=_BLOCK)
    return Pseudobulk(
        groups=groups,
        counts=counts,
        detected=pd.DataFrame(detected, columns=known),
        carried=pd.DataFrame(carried, columns=known),
        genes=cells.var_names,
        measured=pd.DataFrame(cells.varm["measured"], index=cells.var_names).astype(bool),
        soup=soup,
        samples=sheet.drop(columns=["sample", *LEVELS]).sort_index(),
    )


def sum_rows(counts: sparse.csr_matrix, names: Sequence[str], order: Sequence[str]) -> np.ndarray:
    """Sum the rows that share a name.

    Parameters
    ----------
    counts
        Rows x genes.
    names
        Name of each row.
    order
        Names of the result's rows.

    Returns
    -------
    scipy.sparse.csr_matrix
        Names x genes.
    """
    codes = pd.Index(order).get_indexer(list(names))
    member = sparse.csr_matrix(
        (np.ones(len(codes)), (codes, np.arange(len(codes)))), (len(order), len(codes))
    )
    return sparse.csr_matrix(member @ counts)


def log_cpm(counts: np.ndarray, totals: np.ndarray, prior_count: float = 2.0) -> np.ndarray:
    """Return log2 counts per million with a prior count.

    The prior grows with the total count, so zero counts get the same value in every unit and
    differences of small counts shrink towards 0.

    Parameters
    ----------
    counts
        Units x genes.
    totals
        Total count of each unit.
    prior_count
        Counts added to a unit of average total.

    Returns
    -------
    numpy.ndarray
        Units x genes.

    References
    ----------
    Robinson MD, McCarthy DJ, Smyth GK (2010) edgeR: a Bioconductor package for differential
    expression analysis of digital gene expression data. Bioinformatics 26:139-140.
    doi:10.1093/bioinformatics/btp616
    """
    totals = np.asarray(totals, dtype=float)[:, None]
    prior = prior_count * totals / totals.mean()
    return np.log2((counts + prior) / (totals + 2 * prior) * 1e6)


def _weighted_mean(
    values: pd.Series, weights: pd.Series, codes: np.ndarray, n_groups: int
) -> np.ndarray:
    """Return the weighted mean of each group, NaN where no value is known."""
    known = values.notna().to_numpy()
    weight = np.where(known, weights.to_numpy(dtype=float), 0.0)
    total = np.bincount(codes, weight, n_groups)
    summed = np.bincount(codes, weight * values.fillna(0.0).to_numpy(dtype=float), n_groups)
    return np.divide(summed, total, out=np.full(n_groups, np.nan), where=total > 0)

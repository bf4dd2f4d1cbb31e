"""Which genes are higher inside a group of cells than outside it, donors as units?"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats

from emhniche.gate import benjamini_hochberg

MIN_MARKER_CELLS = 5
"""Cells inside and outside the group that a donor needs to tell its markers."""

MIN_PAIRS = 3
"""Donors needed for a p-value on paired differences."""

PRIOR_COUNTS = 2.0
"""Counts added to the smaller of two pools, and as large a share to the other. Ours."""

MARKER_LEVEL, MARKER_CHANGE, MAX_MARKERS = 0.05, 0.5, 10


@dataclass(frozen=True)
class DonorSums:
    """Counts of several groups of cells, summed donor by donor.

    Attributes
    ----------
    counts
        Donors x groups x genes, sums of raw counts.
    cells
        Donors x groups, numbers of cells.
    genes
        Names of the genes; a gene without a name (empty) is never a marker.
    seen
        Whether the gene is seen in enough cells to be looked at.
    """

    counts: np.ndarray
    cells: np.ndarray
    genes: np.ndarray
    seen: np.ndarray


def sum_by_donor(
    counts: sparse.spmatrix | np.ndarray,
    genes: np.ndarray,
    donor: np.ndarray,
    group: np.ndarray,
    n_groups: int,
) -> DonorSums:
    """Sum the counts of every group of cells in every donor.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    genes
        Names of the genes.
    donor
        Donor of each cell.
    group
        Group of each cell, integers from 0; -1 where the cell is of none.
    n_groups
        How many groups there are.

    Returns
    -------
    DonorSums
        Donors in the order of their names.
    """
    names, code = np.unique(donor.astype(str), return_inverse=True)
    inside = np.flatnonzero(group >= 0)
    place = code[inside] * n_groups + group[inside]
    shape = (len(names), n_groups)
    ones = np.ones(len(inside))
    member = sparse.csr_matrix((ones, (place, inside)), shape=(len(names) * n_groups, len(donor)))
    matrix = counts if sparse.issparse(counts) else sparse.csr_matrix(counts)
    # a matrix by columns is multiplied from its transpose, which is one by rows: nothing is copied
    by_columns = matrix.format == "csc"
    sums = (matrix.T @ member.T).T if by_columns else member @ matrix
    seen = matrix.getnnz(axis=0) >= MIN_MARKER_CELLS
    cells = np.bincount(place, minlength=member.shape[0]).reshape(shape)
    return DonorSums(sums.toarray().reshape(*shape, -1), cells, genes, seen)


def donor_markers(sums: DonorSums, group: int) -> dict:
    """Name the genes that are higher in one group than in all others, donors as units.

    Parameters
    ----------
    sums
        Counts of all groups.
    group
        The group.

    Returns
    -------
    dict
        ``markers``, ``markers_per_unit`` (in how many donors each is higher) and ``marker_units``
        (donors with enough cells of both sides).
    """
    inside, cells = sums.counts[:, group], sums.cells[:, group]
    outside, others = sums.counts.sum(axis=1) - inside, sums.cells.sum(axis=1) - cells
    enough = np.minimum(cells, others) >= MIN_MARKER_CELLS
    change = paired_change(inside[enough], outside[enough])
    if len(change) < MIN_PAIRS:
        return {"markers": "", "markers_per_unit": "", "marker_units": len(change)}
    p = np.full(change.shape[1], np.nan)
    p[sums.seen] = stats.ttest_1samp(change[:, sums.seen], 0, alternative="greater").pvalue
    mean, genes = change.mean(axis=0), sums.genes
    good = (benjamini_hochberg(p) <= MARKER_LEVEL) & (mean > MARKER_CHANGE) & (genes != "")
    order = sorted(np.flatnonzero(good), key=lambda i: (-mean[i], genes[i]))
    top, higher = order[:MAX_MARKERS], (change > 0).sum(axis=0)
    shown = [f"{genes[i]}={higher[i]}/{len(change)}" for i in top]
    return {
        "markers": ";".join(genes[top]),
        "markers_per_unit": ";".join(shown),
        "marker_units": len(change),
    }


def paired_change(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Compare two pools of counts in each unit.

    Both sides get the same rate on top, :data:`PRIOR_COUNTS` counts of the smaller side, so a gene
    that is hardly seen there shows no change, however much deeper the other side is. The mean of a
    logarithm lies below the logarithm of the mean, more so on the smaller side; what counting alone
    makes of that (to first order, at equal rates) is taken off.

    Parameters
    ----------
    inside, outside
        Units x genes, summed raw counts.

    Returns
    -------
    numpy.ndarray
        Units x genes, log2 fold change of the shares of all counts.
    """
    totals = [np.maximum(side.sum(axis=1, keepdims=True), 1) for side in (inside, outside)]
    prior = PRIOR_COUNTS / np.minimum(*totals)
    rate = (inside + outside) / (totals[0] + totals[1])
    logs = [
        np.log2(side / total + prior) + rate / (total * (rate + prior) ** 2) / np.log(4)
        for side, total in zip((inside, outside), totals, strict=True)
    ]
    return logs[0] - logs[1]

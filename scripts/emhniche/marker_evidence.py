"""How far does a gene tell a cluster from the other cells, and do donors agree that it is higher?

Two answers that are never mixed. Over cells there is a rank, the area under the curve: it orders
genes and is no evidence, since cells of one donor are not independent. Over donors there is a test,
of how each one's cells inside the cluster differ from its cells outside: its p is the only one.
Clusters were cut from these very counts, so even that p is too small (Neufeld 2022, doi
10.1093/biostatistics/kxac047; Song 2023, doi 10.1101/2023.07.21.550107): it ranks genes and is no
proof that the cluster is a kind of cell.
"""

import contextlib
import io
from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.donor_markers import MIN_MARKER_CELLS, MIN_PAIRS, paired_change
from emhniche.moderation import adjust, moderated_test
from emhniche.pseudobulk import sum_rows

MIN_EXPECTED = 10.0
"""Counts that the smaller sides of all libraries would hold at the gene's higher rate: a gene with
fewer is not tested. Ours."""

TEST_COLUMNS = ["donors", "donors_higher", "donor_log2_fold_change", "p", "q", "status"]


def rank_areas(rates: sparse.csr_matrix, codes: np.ndarray, n_groups: int) -> np.ndarray:
    """Return how often a cell of a group has more of a gene than one of the others.

    Parameters
    ----------
    rates
        Cells x genes, counts over the cell's total; sorted indices.
    codes
        Group of each cell, integers from 0.
    n_groups
        How many groups there are.

    Returns
    -------
    numpy.ndarray
        Groups x genes, area under the receiver operating characteristic: 1 where every cell of the
        group has more than every other, 0.5 where ranks say nothing. NaN for a group without cells
        or without others. It is the statistic of Mann and Whitney (1947, doi
        10.1214/aoms/1177730491) over the number of pairs, by illico.
    """
    areas = np.full((n_groups, rates.shape[1]), np.nan)
    sizes = np.bincount(codes, minlength=n_groups)
    present = np.flatnonzero(sizes)
    if len(present) < 2:
        return areas
    from illico import asymptotic_wilcoxon
    from loguru import logger

    logger.disable("illico")  # it reports each call as a line of its own
    named = pd.DataFrame({"group": codes.astype(str)}, index=np.arange(len(codes)).astype(str))
    genes = pd.DataFrame(index=np.arange(rates.shape[1]).astype(str))
    with contextlib.redirect_stderr(io.StringIO()):  # a bar of its progress
        found = asymptotic_wilcoxon(
            ad.AnnData(rates, obs=named, var=genes),
            group_keys="group",
            reference=None,
            is_log1p=False,
            n_threads=1,
        )
    statistic = found["statistic"].unstack().loc[present.astype(str), genes.index].to_numpy()
    pairs = sizes[present] * (len(codes) - sizes[present])
    areas[present] = statistic / pairs[:, None]
    return areas


def compare_donors(
    counts: sparse.csr_matrix, codes: np.ndarray, obs: pd.DataFrame, order: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Test of each gene whether it is higher in a cluster than in other cells, donors as units.

    Inside and outside are compared within a library, over its summed counts, so that neither the
    ambient RNA of a library nor its depth is a marker; a donor's libraries are averaged. Variances
    are shared between genes (:func:`emhniche.moderation.moderated_test`).

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    codes
        Position of each cell's cluster in `order`.
    obs
        ``sample``, ``donor`` and ``donor_known`` of each cell. Libraries of unknown donors do not
        count.
    order
        Names of the clusters.

    Returns
    -------
    dict of pandas.DataFrame
        For each cluster the columns :data:`TEST_COLUMNS`, one row a gene in the order of `counts`:
        donors with a library of :data:`~emhniche.donor_markers.MIN_MARKER_CELLS` cells inside and
        as many outside, in how many of them the gene is higher inside, mean log2 fold change over
        them (0 for a gene that none of them shows), one-sided p, q (Benjamini-Hochberg over the
        genes tested in the cluster), and ``tested`` or ``not_testable`` (fewer than
        :data:`~emhniche.donor_markers.MIN_PAIRS` donors, or too few counts of the gene).
    """
    sheet = obs[obs["donor_known"].astype(bool)].astype({"sample": str, "donor": str})
    sheet = sheet.drop_duplicates("sample").set_index("sample")
    library = pd.Index(sheet.index).get_indexer(obs["sample"].astype(str))
    cells = np.zeros((len(sheet), len(order)), dtype=int)
    np.add.at(cells, (library[library >= 0], codes[library >= 0]), 1)
    names = library * len(order) + codes
    sums = sum_rows(counts[library >= 0], names[library >= 0], range(cells.size))
    whole = sum_rows(counts[library >= 0], library[library >= 0], range(len(sheet)))
    found = {}
    for number, name in enumerate(order):
        inside, outside = cells[:, number], cells.sum(axis=1) - cells[:, number]
        rows = np.flatnonzero(np.minimum(inside, outside) >= MIN_MARKER_CELLS)
        own = sums[rows * len(order) + number].toarray()
        rest = whole[rows].toarray() - own
        found[name] = _test_cluster(own, rest, sheet["donor"].to_numpy()[rows])
    return found


def _test_cluster(inside: np.ndarray, outside: np.ndarray, donor: np.ndarray) -> pd.DataFrame:
    """Test the genes of one cluster: libraries x genes inside and outside of it, and the donors."""
    units, unit = np.unique(donor, return_inverse=True)
    table = pd.DataFrame(index=range(inside.shape[1]), columns=TEST_COLUMNS, dtype=float)
    table["donors"], table["status"] = len(units), "not_testable"
    if len(units) == 0:
        return table.assign(donors_higher=0)
    change = paired_change(inside, outside)
    mean = np.array([change[unit == one].mean(axis=0) for one in range(len(units))])
    table["donors_higher"] = (mean > 0).sum(axis=0)
    table["donor_log2_fold_change"] = mean.mean(axis=0)
    totals = [side.sum(axis=1, keepdims=True) for side in (inside, outside)]
    rate = np.maximum(inside / totals[0], outside / totals[1])
    seen = (rate * np.minimum(*totals)).sum(axis=0) >= MIN_EXPECTED
    if len(units) >= MIN_PAIRS and seen.any():
        effect, _, _, p = moderated_test(mean[:, seen], np.ones((len(units), 1)))
        table.loc[seen, "p"] = np.where(effect > 0, p / 2, 1 - p / 2)
        table.loc[seen, "status"] = "tested"
        table["q"] = adjust(table["p"].to_numpy())
    return table

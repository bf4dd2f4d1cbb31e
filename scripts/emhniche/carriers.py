"""Which counts of a group lie in cells that hold a second lineage beside their own?

Two cells in one droplet that quality control took for one, a cell with the wrong name, or a
phagocyte with its prey bring into a group what its lineage does not make, and a handful of them is
enough: one neutrophil in a droplet with a T cell may hold more S100a9 than all other T cells of the
library. Such a cell is told by all the genes of the second lineage but the one in question:

1. genes that the other lineage makes at least :data:`FOLD` times as much of as the cell's own, over
   all libraries of the dataset, and more than their soup holds;
2. of these the cell holds, per count, at least :data:`SHARE` of what the other lineage holds, and
   more than the cells of its own lineage do by chance (Poisson, :data:`CHANCE`).

The gene itself has no say, so a cell that makes one gene of another lineage stays itself. Lineages
that cells pass between are not told apart (:func:`emhniche.lineage.can_be_told`), nor is any cell
of a sorted library, where gates hold such passages. The rule is ours; docs/niche.md says what
it finds of planted doublets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse, stats

from emhniche.lineage import UNRESOLVED, can_be_told

FOLD = 10.0
"""A gene tells another lineage when that makes this many times as much of it."""

SHARE = 0.03
"""Share of the other lineage's rate that a cell holds at least: a neutrophil of 1,000 counts in the
droplet of a cell with 30,000. It matters where cells are so deep that chance allows less."""

CHANCE = 1e-6
"""Chance that a cell of its own lineage holds as many counts of the other's genes: so small that of
tens of thousands of cells, each held against ten lineages, hardly one does."""

MIN_GENES = 10
"""Genes that tell another lineage, at least."""

MIN_COUNTS = 10
"""Counts of a gene that the other lineage holds, at least."""


@dataclass(frozen=True)
class _Pair:
    """What tells one lineage within the cells of another: each is genes, or genes of interest.

    `place` are positions among the genes of interest, `column` those in the matrix; `full` and
    `base` are the rates of all telling genes but this one in the other and in the own lineage.
    """

    telling: np.ndarray
    place: np.ndarray
    column: np.ndarray
    full: np.ndarray
    base: np.ndarray


def carried_counts(
    cells: ad.AnnData,
    codes: np.ndarray,
    groups: pd.DataFrame,
    counts: sparse.csr_matrix,
    soup: pd.DataFrame,
    genes: Sequence[str],
    *,
    block: int,
) -> np.ndarray:
    """Sum each gene over the cells of a group that hold a lineage which makes it beside their own.

    Parameters
    ----------
    cells
        Cells x genes, raw counts, in memory or backed; ``obs`` holds ``sample`` and ``dataset``,
        and ``enrichment`` where libraries were sorted.
    codes
        Group of each cell.
    groups
        ``sample`` and ``lineage`` of each group.
    counts
        Groups x genes, summed over cells.
    soup
        Genes x samples: fraction of the ambient RNA that each gene makes.
    genes
        Genes of interest, all of `cells`.
    block
        Cells that are read at a time.

    Returns
    -------
    numpy.ndarray
        Groups x genes of interest: counts.
    """
    carried = np.zeros((len(groups), len(genes)))
    if not len(genes):
        return carried
    kinds, names = pd.factorize(_kinds(cells.obs, groups))  # -1 of groups that are not looked at
    columns = cells.var_names.get_indexer(list(genes))
    rates = dict(_sums(groups, kinds, names, counts, soup))
    pairs = [list(_pairs(own, *rates[dataset], columns)) for dataset, own in names]
    for start in range(0, cells.n_obs, block):
        part = codes[start : start + block]
        matrix = sparse.csr_matrix(cells.X[start : start + block]).astype(float)
        for kind in set(kinds[part]) - {-1}:
            here = np.flatnonzero(kinds[part] == kind)
            if pairs[kind]:
                held = _held_by_carriers(matrix[here], pairs[kind], len(genes))
                np.add.at(carried, part[here], held)
    return carried


def _kinds(obs: pd.DataFrame, groups: pd.DataFrame) -> pd.Series:
    """Return dataset and lineage of each group, None where no second lineage is looked for."""
    sheet = obs.drop_duplicates("sample").reset_index(drop=True)
    sheet = sheet.set_index(sheet["sample"].astype(str)).reindex(columns=["dataset", "enrichment"])
    sheet = sheet.astype(object).fillna("")
    own = groups.join(sheet, on="sample")
    told = own["enrichment"].isin(["", "none"]) & (own["lineage"] != UNRESOLVED)
    keys = pd.Series(list(zip(own["dataset"], own["lineage"], strict=True)), own.index, object)
    return keys.where(told, None)


def _sums(
    groups: pd.DataFrame,
    kinds: np.ndarray,
    names: Sequence[tuple[str, str]],
    counts: sparse.csr_matrix,
    soup: pd.DataFrame,
) -> Iterator[tuple[str, tuple[pd.DataFrame, np.ndarray]]]:
    """Yield for each dataset its lineages' counts (lineages x genes) and its mean soup (genes)."""
    for dataset in sorted({name[0] for name in names}):
        own = [kind for kind, name in enumerate(names) if name[0] == dataset]
        member = sparse.csr_matrix((np.array(own)[:, None] == kinds).astype(float))
        samples = groups.loc[np.isin(kinds, own), "sample"].unique()
        lineages = pd.DataFrame((member @ counts).toarray(), [names[kind][1] for kind in own])
        yield dataset, (lineages, soup[samples].mean(axis=1).to_numpy())


def _pairs(own: str, sums: pd.DataFrame, soup: np.ndarray, columns: np.ndarray) -> Iterator[_Pair]:
    """Yield what tells each other lineage in the cells of one."""
    rates = sums.div(np.maximum(sums.sum(axis=1), 1.0), axis=0)
    mine = rates.loc[own].to_numpy()
    for other in rates.index:
        if not can_be_told(np.array([own]), np.array([other]))[0]:
            continue
        theirs = rates.loc[other].to_numpy()
        telling = (theirs >= FOLD * mine) & (theirs > soup)
        telling &= sums.loc[other].to_numpy() >= MIN_COUNTS
        place = np.flatnonzero(telling[columns])
        if telling.sum() <= MIN_GENES or not len(place):
            continue
        at = columns[place]
        full, base = theirs[telling].sum() - theirs[at], mine[telling].sum() - mine[at]
        yield _Pair(telling, place, at, full, base)


def _held_by_carriers(
    matrix: sparse.csr_matrix, pairs: Sequence[_Pair], n_genes: int
) -> np.ndarray:
    """Return the counts of cells (cells x genes of interest), 0 where the cell is no carrier."""
    held = np.zeros((matrix.shape[0], n_genes))
    total = np.asarray(matrix.sum(axis=1)).reshape(-1, 1)
    every = matrix @ np.column_stack([pair.telling.astype(float) for pair in pairs])
    for number, pair in enumerate(pairs):
        own = matrix[:, pair.column].toarray()
        others = every[:, [number]] - own
        carrier = (others >= SHARE * pair.full * total) & (others > 0)
        expected = (pair.base * total)[carrier]
        carrier[carrier] = stats.poisson.sf(others[carrier] - 1, expected) < CHANCE
        held[:, pair.place] = np.where(carrier, own, held[:, pair.place])
    return held

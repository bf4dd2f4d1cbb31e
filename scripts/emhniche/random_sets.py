"""Which random sets of genes are as abundant as a set, and how do they score?

A set of abundant genes scores high in every cell. So each set is compared with sets that are drawn
gene by gene from the genes of like expression.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError

MIN_BIN_GENES = 50
"""Fewest genes to draw a random gene from."""


@dataclass(frozen=True)
class Members:
    """Sets of genes, and random sets like each.

    Attributes
    ----------
    names
        Name of each set.
    sizes
        Genes of each set.
    sets
        Sets x genes, 1 where the set holds the gene.
    random
        The same of the random sets, `n_random` of the first set first.
    n_random
        Random sets of each set.
    """

    names: list[str]
    sizes: np.ndarray
    sets: sparse.csr_matrix
    random: sparse.csr_matrix
    n_random: int


def draw_sets(
    dataset: str,
    genes: pd.Index,
    scored: Mapping[str, pd.Index],
    expression: np.ndarray,
    *,
    n_random: int,
    n_bins: int,
    seed: int,
) -> Members:
    """Draw for each set `n_random` sets with as many genes from each expression bin.

    Parameters
    ----------
    dataset
        Its name, which the draws hang on.
    genes
        Genes that it measures.
    scored
        Set -> its genes, two or more, all of `genes`.
    expression
        Expression of each gene.
    n_random
        Random sets of each set.
    n_bins
        Most expression bins; see :func:`expression_bins`.
    seed
        Seed of the draws.

    Returns
    -------
    Members
        The sets and their random sets; no random set holds a gene of its own set.

    Raises
    ------
    InputError
        When a bin holds too few other genes.
    """
    order = np.lexsort((genes.to_numpy(str), expression))
    largest = max(map(len, scored.values()), default=0)
    bins = expression_bins(
        expression[order], n_bins=n_bins, min_genes=max(MIN_BIN_GENES, 2 * largest)
    )
    own_genes, own_sets, random_genes, random_sets = [], [], [], []
    for number, (name, members) in enumerate(scored.items()):
        own = np.isin(order, genes.get_indexer(members))
        rng = np.random.default_rng([seed, *map(_key, (dataset, name))])
        own_genes.append(order[own])
        own_sets.append(np.full(own.sum(), number))
        for one, wanted in zip(*np.unique(bins[own], return_counts=True), strict=True):
            others = order[(bins == one) & ~own]
            if len(others) < wanted:
                raise InputError(
                    f"dataset {dataset}: it measures {len(genes)} genes, too few to "
                    f"draw random sets like {name}; take genes out of the set, or the dataset out"
                )
            lots = rng.random((n_random, len(others)))
            picked = np.argpartition(lots, wanted - 1, axis=1)[:, :wanted]
            random_genes.append(others[picked].ravel())
            random_sets.append(np.repeat(number * n_random + np.arange(n_random), wanted))
    n_genes = len(genes)
    return Members(
        names=list(scored),
        sizes=np.array([len(members) for members in scored.values()], dtype=float),
        sets=_membership(own_sets, own_genes, (len(scored), n_genes)),
        random=_membership(random_sets, random_genes, (len(scored) * n_random, n_genes)),
        n_random=n_random,
    )


def expression_bins(expression: np.ndarray, *, n_bins: int, min_genes: int) -> np.ndarray:
    """Group genes of like expression.

    Parameters
    ----------
    expression
        Expression of each gene, ascending.
    n_bins
        Most bins to make. A bin holds an even share of the genes and of all expression taken
        together: few genes where they are abundant and differ much, many where they are rare.
    min_genes
        Fewest genes of a bin; a smaller one joins its neighbour.

    Returns
    -------
    numpy.ndarray
        Bin of each gene, from 0. Genes without expression are a bin of their own if there are
        enough of them.
    """
    place = np.arange(len(expression))
    before = np.cumsum(expression) - expression
    share = place / len(expression) + before / max(before[-1] + expression[-1], 1.0)
    steps = np.flatnonzero(np.diff(np.floor(share * n_bins / 2), prepend=-1.0))
    expressed = np.searchsorted(expression, 0.0, side="right")
    starts = [0]
    for start in np.union1d(steps[steps > expressed], expressed):
        if min(start - starts[-1], len(expression) - start) >= min_genes:
            starts.append(start)
    return np.searchsorted(starts, place, side="right") - 1


def sum_sets(
    weights: np.ndarray, members: Members
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sum the weights of each set and of its random sets.

    Parameters
    ----------
    weights
        Genes x cells, float32, whole or half numbers: single precision holds their sums exactly.
    members
        The sets.

    Returns
    -------
    own, mean, sd, as_good
        Cells x sets: the set's sum, mean and standard deviation of those of its random sets, and
        how many of them are at least as high.
    """
    own = members.sets @ weights
    chance = (members.random @ weights).reshape(len(own), members.n_random, weights.shape[1])
    as_good = (chance >= own[:, None]).sum(axis=1, dtype=np.int32)
    chance = chance.astype(np.float64)
    mean = chance.mean(axis=1)
    square = np.einsum("ijk,ijk->ik", chance, chance) / members.n_random
    sd = np.sqrt(np.maximum(square - mean**2, 0))
    return own.T, mean.T, sd.T, as_good.T


def _key(text: str) -> int:
    return zlib.crc32(text.encode())


def _membership(
    sets: list[np.ndarray], genes: list[np.ndarray], shape: tuple[int, int]
) -> sparse.csr_matrix:
    rows, columns = (
        np.concatenate(parts) if parts else np.empty(0, int) for parts in (sets, genes)
    )
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)

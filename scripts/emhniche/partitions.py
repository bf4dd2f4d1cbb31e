"""Into which clusters does a graph fall, and would another seed or other cells give them again?

The graph is cut at several resolutions, each from several seeds and on several subsamples of the
cells. A cluster is found again in a subsample when some cluster there has a Jaccard index with it
(over the cells that were drawn) of :data:`FOUND` or more. Of a resolution, clusters that are found
again count for it and clusters that dissolve count against it; the resolution with the highest sum
is taken, and there the partition that is most like those from other seeds and of subsamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats

from emhniche.cluster_limits import FOUND, OFTEN
from emhniche.graph import Neighbors, join
from emhniche.leiden import cut_graphs

SOLID = 0.7
"""Mean Jaccard index above which a cluster counts for its resolution, and below which against it.
Ours: four seeds then choose the same resolution, on the demo cohort and on the public data."""

SHARE = 0.8
"""Share of the cells in a subsample."""

LACKING = 1e-6
"""How often a cell of a subsample may lack one of its neighbours among its candidates."""

TRIAL_SEEDS, TRIAL_ITERATIONS = 3, 2
"""Partitions of all cells and iterations of Leiden, while resolutions are tried."""

UNTIL_STABLE = -1
"""Iterations of Leiden for the final partition: until nothing improves."""

MAX_SMALL = 0.05
"""More of the cells than this in clusters no larger than a neighbourhood: crumbs, no clusters."""

CURVE_COLUMNS = ["resolution", "n_clusters", "n_stable", "found_again", "score", "verdict"]


@dataclass(frozen=True)
class Cut:
    """The partition of one resolution, and those that it is compared with.

    Attributes
    ----------
    resolution
        Leiden resolution.
    names
        Cluster of each cell: the partition most like all others of the resolution.
    seeds
        Partitions of all cells from other seeds.
    drawn
        Row numbers and partition of each subsample.
    """

    resolution: float
    names: np.ndarray
    seeds: list[np.ndarray]
    drawn: list[tuple[np.ndarray, np.ndarray]]

    def found_again(self) -> pd.DataFrame:
        """Measure each cluster in the subsamples.

        Returns
        -------
        pandas.DataFrame
            ``cluster``, ``n_cells``, ``found_again`` (share of the subsamples that have it again)
            and ``jaccard`` (mean index with the most similar cluster there).
        """
        best = pd.DataFrame([best_jaccard(self.names[rows], names) for rows, names in self.drawn])
        sizes = pd.Series(self.names).value_counts()
        order = sorted(sizes.index, key=int)
        best = best.reindex(columns=order).fillna(0.0)  # no cell of it was drawn
        return pd.DataFrame(
            {
                "cluster": order,
                "n_cells": sizes[order].to_numpy(),
                "found_again": (best >= FOUND).mean().to_numpy(),
                "jaccard": best.mean().to_numpy(),
            }
        )


def candidates(n_neighbors: int) -> int:
    """Return how many near cells a cell must know so that a subsample leaves it its neighbours.

    Parameters
    ----------
    n_neighbors
        Neighbours that are joined.

    Returns
    -------
    int
        Near cells, of which :data:`SHARE` are drawn: fewer than `n_neighbors` at most once in a
        million (:data:`LACKING`).
    """
    many = n_neighbors
    while stats.binom.cdf(n_neighbors - 1, many, SHARE) > LACKING:
        many += 1
    return many


def names_by_size(membership: np.ndarray) -> np.ndarray:
    """Name clusters by size.

    Parameters
    ----------
    membership
        Cluster of each cell, integers from 0.

    Returns
    -------
    numpy.ndarray
        One name a cell: ``"0"`` is the largest, ties go by the first cell.
    """
    groups, first, size = np.unique(membership, return_index=True, return_counts=True)
    order = groups[np.lexsort((first, -size))]
    name = np.empty(groups.max() + 1, dtype=int)
    name[order] = np.arange(len(order))
    return name[membership].astype(str)


def best_jaccard(names: np.ndarray, others: np.ndarray) -> pd.Series:
    """Return of each cluster the Jaccard index with the most similar cluster of another partition.

    Parameters
    ----------
    names, others
        Cluster of each cell in the two partitions.

    Returns
    -------
    pandas.Series
        Cluster of `names` -> index, 1 where the very same cells are together.
    """
    code, of = pd.factorize(names)
    other, there = pd.factorize(others)
    shape = (len(of), len(there))
    both = np.bincount(code * shape[1] + other, minlength=shape[0] * shape[1]).reshape(shape)
    either = both.sum(axis=1)[:, None] + both.sum(axis=0)[None] - both
    return pd.Series((both / either).max(axis=1), index=of)


class Cutter:
    """A neighbour graph and subsamples of its cells, to be cut at any resolution.

    Parameters
    ----------
    neighbors
        Near cells of each cell, as many as :func:`candidates` says: a subsample finds its
        neighbours there.
    n_neighbors
        Neighbours that are joined, the cell itself not counted.
    n_subsamples
        Subsamples of :data:`SHARE` of the cells.
    seed
        Seed of all draws.
    threads
        Processes that cut graphs; the partitions are the same whatever their number.

    Attributes
    ----------
    graph
        Cells x cells, weights of the neighbour graph.
    """

    def __init__(
        self,
        neighbors: Neighbors,
        *,
        n_neighbors: int,
        n_subsamples: int,
        seed: int,
        threads: int = 1,
    ) -> None:
        n_cells, rng = len(neighbors.rows), np.random.default_rng(seed)
        self.graph = join(neighbors.within(np.arange(n_cells), n_neighbors))
        self._seed, self._threads = seed, threads
        size = max(2, round(SHARE * n_cells))
        drawn = [np.sort(rng.choice(n_cells, size, replace=False)) for _ in range(n_subsamples)]
        self._parts = [(rows, join(neighbors.within(rows, n_neighbors))) for rows in drawn]

    def cut(self, resolutions: Sequence[float]) -> list[Cut]:
        """Try resolutions: cut all cells and the subsamples with few iterations."""
        return self._cut(resolutions, TRIAL_SEEDS, TRIAL_ITERATIONS)

    def refine(self, resolution: float, n_seeds: int) -> Cut:
        """Cut all cells, from `n_seeds` seeds, and the subsamples until nothing improves."""
        return self._cut([resolution], n_seeds, UNTIL_STABLE)[0]

    def _cut(self, resolutions: Sequence[float], n_seeds: int, n_iterations: int) -> list[Cut]:
        """Return the most central of the partitions of all cells, and all others."""
        graphs = [self.graph] * n_seeds + [part for _, part in self._parts]
        tasks = [
            (graph, [(one, self._seed + number, n_iterations) for one in resolutions])
            for number, graph in enumerate(graphs)
        ]
        of_graphs = cut_graphs(tasks, threads=self._threads)
        cuts = []
        for resolution, *found in zip(resolutions, *of_graphs, strict=True):
            names = [names_by_size(one) for one in found[:n_seeds]]
            drawn = [(part[0], one) for part, one in zip(self._parts, found[n_seeds:], strict=True)]
            cuts.append(Cut(resolution, names[_most_central(names, drawn)], names, drawn))
        return cuts


def choose(cuts: list[Cut], *, n_neighbors: int) -> tuple[int, pd.DataFrame]:
    """Choose the resolution whose clusters are found again.

    Parameters
    ----------
    cuts
        One a resolution, rising.
    n_neighbors
        A cluster of no more cells is a crumb.

    Returns
    -------
    chosen : int
        Position of the cut with the highest score, of those that are not degenerate; the first
        (coarsest) where all are.
    curve : pandas.DataFrame
        One row a resolution: ``resolution``, ``n_clusters``, ``n_stable`` (clusters found again in
        :data:`OFTEN` of the subsamples), ``found_again`` (mean over cells of their cluster's
        share), ``score`` (sum over clusters of the mean Jaccard index less :data:`SOLID`: what is
        found again counts for the resolution, what dissolves against it) and ``verdict``
        (``stable`` where ``found_again`` is :data:`OFTEN` or more, ``unstable``, or ``degenerate``:
        one cluster, or more than :data:`MAX_SMALL` of the cells in crumbs).
    """
    curve = pd.DataFrame([_judge(cut, n_neighbors) for cut in cuts], columns=CURVE_COLUMNS)
    possible = curve[curve["verdict"] != "degenerate"]
    return int((possible if len(possible) else curve.head(1))["score"].idxmax()), curve


def _judge(cut: Cut, n_neighbors: int) -> tuple:
    """Return a row of the curve."""
    table = cut.found_again()
    cells = table["n_cells"]
    found = float((table["found_again"] * cells).sum() / cells.sum())
    verdict = "stable" if found >= OFTEN else "unstable"
    if len(table) == 1 or cells[cells <= n_neighbors].sum() > MAX_SMALL * cells.sum():
        verdict = "degenerate"
    stable = int((table["found_again"] >= OFTEN).sum())
    score = float((table["jaccard"] - SOLID).sum())
    return cut.resolution, len(table), stable, found, score, verdict


def tree(cuts: list[Cut]) -> pd.DataFrame:
    """Say where the cells of each cluster lie at the next resolution.

    Parameters
    ----------
    cuts
        One a resolution, rising.

    Returns
    -------
    pandas.DataFrame
        ``resolution``, ``cluster``, ``next_resolution``, ``next_cluster``, ``n_cells``.
    """
    parts = []
    for one, following in pairwise(cuts):
        table = pd.DataFrame({"cluster": one.names, "next_cluster": following.names})
        table = table.groupby(["cluster", "next_cluster"]).size().reset_index(name="n_cells")
        parts.append(table.assign(resolution=one.resolution, next_resolution=following.resolution))
    columns = ["resolution", "cluster", "next_resolution", "next_cluster", "n_cells"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def rand_index(one: np.ndarray, other: np.ndarray) -> float:
    """Return the adjusted Rand index of two partitions of the same cells.

    As scikit-learn's ``adjusted_rand_score``, which a test compares it with; codes in place of
    names make it five times as fast, and hundreds are asked for.

    Parameters
    ----------
    one, other
        Cluster of each cell, in any names.

    Returns
    -------
    float
        1 for the same partition, about 0 by chance.

    References
    ----------
    Hubert L, Arabie P (1985) Comparing partitions. J Classif 2:193-218. doi:10.1007/BF01908075
    """
    (code, of), (coded, there) = pd.factorize(one), pd.factorize(other)
    both = np.bincount(code * len(there) + coded, minlength=len(of) * len(there))
    both = both.reshape(len(of), len(there)).astype(float)
    together = _pairs(both)
    rows, columns = _pairs(both.sum(axis=1)), _pairs(both.sum(axis=0))
    every = len(code) * (len(code) - 1) / 2
    by_chance = rows * columns / every if every else 0.0
    most = (rows + columns) / 2
    return 1.0 if most == by_chance else (together - by_chance) / (most - by_chance)


def _pairs(counts: np.ndarray) -> float:
    """Return how many pairs groups of these sizes hold."""
    return float((counts * (counts - 1)).sum() / 2)


def _most_central(seeds: list[np.ndarray], drawn: list[tuple[np.ndarray, np.ndarray]]) -> int:
    """Return which partition of all cells is most like all other partitions."""
    alike = [
        sum(rand_index(one, other) for other in seeds)
        + sum(rand_index(one[rows], part) for rows, part in drawn)
        for one in seeds
    ]
    return int(np.argmax(alike))

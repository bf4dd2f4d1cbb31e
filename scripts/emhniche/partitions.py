"""Into which clusters does a graph fall, from other seeds and with other cells?

The graph is cut at several resolutions, each from several seeds and on several subsamples of the
cells. Of each resolution the partition counts that is most like those from other seeds and of
subsamples; :mod:`emhniche.joining` judges its clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from emhniche.graph import Neighbors, join
from emhniche.leiden import Attempt, cut_graphs

SHARE = 0.8
"""Share of the cells in a subsample."""

LACKING = 1e-6
"""How often a cell of a subsample may lack one of its neighbours among its candidates."""

TRIAL_SEEDS, TRIAL_ITERATIONS = 3, 2
"""Partitions of all cells and iterations of Leiden, while resolutions are tried."""

UNTIL_STABLE = -1
"""Iterations of Leiden for the final partition: until nothing improves."""


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
        seeds = [self._seed + number for number in range(TRIAL_SEEDS + len(self._parts))]
        of_graphs = self._cut(
            [[Attempt(one, seed, TRIAL_ITERATIONS) for one in resolutions] for seed in seeds]
        )
        return [
            self._collect(resolution, list(found))
            for resolution, *found in zip(resolutions, *of_graphs, strict=True)
        ]

    def refine(self, cut: Cut, n_seeds: int) -> Cut:
        """Go on with a cut until nothing improves, with all cells from `n_seeds` seeds."""
        seeds = [self._seed + number for number in range(n_seeds + len(self._parts))]
        starts: list[np.ndarray | None] = [None] * n_seeds
        starts[: len(cut.seeds)] = [names.astype(int) for names in cut.seeds[:n_seeds]]
        starts += [names for _, names in cut.drawn]
        attempts = [
            [Attempt(cut.resolution, seed, UNTIL_STABLE, start)]
            for seed, start in zip(seeds, starts, strict=True)
        ]
        return self._collect(cut.resolution, [found for (found,) in self._cut(attempts)])

    def _cut(self, attempts: list[list[Attempt]]) -> list[list[np.ndarray]]:
        """Make the partitions of all cells, as many as there are, then those of each subsample."""
        graphs = [self.graph] * (len(attempts) - len(self._parts))
        graphs += [graph for _, graph in self._parts]
        return cut_graphs(list(zip(graphs, attempts, strict=True)), threads=self._threads)

    def _collect(self, resolution: float, found: list[np.ndarray]) -> Cut:
        """Return the most central of the partitions of all cells, and all others."""
        n_seeds = len(found) - len(self._parts)
        rows = [rows for rows, _ in self._parts]
        drawn = list(zip(rows, found[n_seeds:], strict=True))
        central = _most_central(found[:n_seeds], drawn)
        seeds = [names_by_size(one) for one in found[:n_seeds]]
        return Cut(resolution, seeds[central], seeds, drawn)


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

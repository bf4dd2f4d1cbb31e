"""Leiden partitions of many graphs, side by side where there are processors for it."""

import random
import sys
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse

# igraph draws nothing here, and would spend 0.7 s on matplotlib in each process
sys.modules.setdefault("matplotlib", None)
import igraph  # noqa: E402

if sys.modules["matplotlib"] is None:
    del sys.modules["matplotlib"]


class Attempt(NamedTuple):
    """One partition to be made of a graph.

    Attributes
    ----------
    resolution
        Resolution of the modularity.
    seed
        Seed of the order in which nodes are moved.
    n_iterations
        Iterations; -1 goes on until nothing improves.
    start
        Cluster of each cell from which it goes on, integers from 0; None begins with single cells.
    """

    resolution: float
    seed: int
    n_iterations: int
    start: np.ndarray | None = None


def cut_graph(graph: sparse.csr_matrix, attempts: Iterable[Attempt]) -> list[np.ndarray]:
    """Partition a graph by Leiden (Traag 2019, doi 10.1038/s41598-019-41695-z; igraph).

    Parameters
    ----------
    graph
        Cells x cells, symmetric weights.
    attempts
        One a partition.

    Returns
    -------
    list of numpy.ndarray
        Of each partition the cluster of each cell, integers from 0.
    """
    upper = sparse.triu(graph, 1).tocoo()
    edges = np.column_stack([upper.row, upper.col])
    joined = igraph.Graph(n=graph.shape[0], edges=edges, directed=False)
    weights = upper.data.astype(float).tolist()
    found = []
    for resolution, seed, n_iterations, start in attempts:
        igraph.set_random_number_generator(random.Random(seed))
        try:
            partition = joined.community_leiden(
                objective_function="modularity",
                weights=weights,
                resolution=resolution,
                n_iterations=n_iterations,
                initial_membership=None if start is None else start.tolist(),
            )
        finally:
            igraph.set_random_number_generator(random)
        found.append(np.array(partition.membership))
    return found


def cut_graphs(
    tasks: list[tuple[sparse.csr_matrix, list[Attempt]]], *, threads: int
) -> list[list[np.ndarray]]:
    """Do the tasks of :func:`cut_graph` in so many processes.

    Each partition has a seed of its own, so what comes out does not depend on `threads`. igraph
    holds Python's lock while it works: hence processes and not threads.

    Parameters
    ----------
    tasks
        What each call of :func:`cut_graph` is given.
    threads
        Processes; with 1 all is done in this one.

    Returns
    -------
    list of list of numpy.ndarray
        What each call returns, in the order of the tasks.
    """
    # graphs go through pipes: a container's shared memory can be too small for them
    return Parallel(n_jobs=threads, max_nbytes=None)(delayed(cut_graph)(*task) for task in tasks)

"""Neighbours and coarse groups of few cells: for quality control, lineages and metrics."""

import numpy as np
import scanpy as sc
from anndata import AnnData
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from emhniche.partitions import names_by_size


def nearest(points: np.ndarray, n_neighbors: int, *, among: np.ndarray | None = None) -> np.ndarray:
    """Find the exact nearest neighbours of each point, itself left out.

    Parameters
    ----------
    points
        Cells x dimensions.
    n_neighbors
        How many neighbours, below the number of points.
    among
        Points to search (other cells x dimensions). By default `points` themselves.

    Returns
    -------
    numpy.ndarray
        Points x n_neighbors row numbers, nearest first.
    """
    own = among is None
    searched = points if own else among
    finder = NearestNeighbors(n_neighbors=n_neighbors + own, algorithm="brute").fit(searched)
    indices = finder.kneighbors(points, return_distance=False)
    if not own:
        return indices
    itself = indices == np.arange(len(points))[:, None]
    itself[~itself.any(axis=1), -1] = True  # of many equal points another one may stand first
    return indices[~itself].reshape(len(points), n_neighbors)


def shared_graph(points: np.ndarray, *, n_neighbors: int) -> sparse.csr_matrix:
    """Join each point with its exact nearest neighbours, unweighted and symmetric.

    Enough for coarse groups; :mod:`emhniche.graph` builds the graph of the clusters.

    Parameters
    ----------
    points
        Cells x dimensions.
    n_neighbors
        Neighbours a point, itself not counted.

    Returns
    -------
    scipy.sparse.csr_matrix
        Cells x cells; 1 where either is among the nearest of the other.
    """
    indices = nearest(points, min(n_neighbors, len(points) - 1))
    rows = np.repeat(np.arange(len(points)), indices.shape[1])
    ones = np.ones(indices.size, dtype=np.float32)
    graph = sparse.csr_matrix((ones, (rows, indices.ravel())), shape=(len(points),) * 2)
    return graph.maximum(graph.T).tocsr()


def leiden(
    graph: sparse.csr_matrix, *, resolution: float, seed: int, n_iterations: int = -1
) -> np.ndarray:
    """Partition a graph by Leiden (Traag 2019, doi 10.1038/s41598-019-41695-z), igraph flavour.

    Parameters
    ----------
    graph
        Cells x cells, symmetric weights.
    resolution
        Resolution of the modularity.
    seed
        Seed of the partition.
    n_iterations
        Iterations; -1 goes on until nothing improves.

    Returns
    -------
    numpy.ndarray
        One cluster name a cell: ``"0"`` is the largest, ties go by the first cell.
    """
    cells = AnnData(np.zeros((graph.shape[0], 0), dtype=np.float32))
    sc.tl.leiden(
        cells,
        adjacency=graph,
        resolution=resolution,
        random_state=seed,
        n_iterations=n_iterations,
        flavor="igraph",
        directed=False,
    )
    return names_by_size(cells.obs["leiden"].astype(int).to_numpy())

"""Neighbours, graph and partition: one way for quality control, clustering and metrics."""

import numpy as np
import scanpy as sc
from anndata import AnnData
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

EXACT_LIMIT = 50_000
"""Up to so many cells exact neighbours are quicker than an approximate index with its set-up."""


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

    Enough for coarse groups, and needs none of the compilation that :func:`neighbor_graph` starts
    with in each process.

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


def neighbor_graph(latent: np.ndarray, *, n_neighbors: int, seed: int) -> sparse.csr_matrix:
    """Build the symmetric weighted neighbour graph of UMAP (McInnes 2018, arXiv 1802.03426).

    Parameters
    ----------
    latent
        Cells x dimensions.
    n_neighbors
        Neighbours a cell, itself included as scanpy counts them.
    seed
        Seed of the approximate search above :data:`EXACT_LIMIT` cells.

    Returns
    -------
    scipy.sparse.csr_matrix
        Cells x cells, weights in (0, 1].
    """
    cells = AnnData(np.zeros((len(latent), 0), dtype=np.float32))
    cells.obsm["latent"] = np.ascontiguousarray(latent, dtype=np.float32)
    sc.pp.neighbors(
        cells,
        n_neighbors=min(n_neighbors, len(latent) - 1),
        use_rep="latent",
        random_state=seed,
        transformer="sklearn" if len(latent) <= EXACT_LIMIT else "pynndescent",
    )
    return sparse.csr_matrix(cells.obsp["connectivities"])


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

"""Who are the neighbours of each cell, and how strongly is it joined to them?

The same graph on every run: distances are taken again in double precision without matrix products,
cells at the same distance go by their row, and where the border of the candidates is too close to
tell, the whole row is searched again. So neither the number of threads nor rounding decides.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

EXACT_LIMIT = 50_000
"""Up to so many cells neighbours are exact; above, an index finds the candidates (measured: the
index is as quick from 25,000 cells, exact search takes 8 s of CPU time at 50,000)."""

ROUNDING = 1e-9
"""Relative error of a squared distance that a matrix product may make, generously."""

ROWS_AT_ONCE = 2_000
"""Cells whose distances are held together."""

BISECTIONS = 64
"""Halvings of the interval in which the width of a cell's kernel is sought; as in UMAP."""

MIN_WIDTH = 1e-3
"""Smallest width, in units of the mean distance to the neighbours; as in UMAP."""

HNSW_LINKS, HNSW_BUILD, HNSW_SEARCH = 24, 60, 48
"""Links a cell of the approximate index, and candidates it keeps to build and to search: 99.97 % of
the exact neighbours are found on 12,000 to 200,000 cells."""


@dataclass(frozen=True)
class Neighbors:
    """Near cells of each cell, nearest first.

    Attributes
    ----------
    rows
        Cells x candidates, row numbers.
    distances
        Cells x candidates, Euclidean; infinite where there is no further candidate.
    """

    rows: np.ndarray
    distances: np.ndarray

    def within(self, keep: np.ndarray, n_neighbors: int) -> "Neighbors":
        """Return the neighbours among some of the cells, renumbered.

        Parameters
        ----------
        keep
            Cells to keep, rising row numbers.
        n_neighbors
            How many of their candidates to keep; where fewer are left the distance is infinite.
        """
        place = np.full(len(self.rows), -1)
        place[keep] = np.arange(len(keep))
        rows, distances = place[self.rows[keep]], self.distances[keep]
        order = np.argsort(rows < 0, axis=1, kind="stable")[:, :n_neighbors]
        rows = np.take_along_axis(rows, order, axis=1)
        distances = np.take_along_axis(distances, order, axis=1)
        return Neighbors(np.maximum(rows, 0), np.where(rows < 0, np.inf, distances))


def find_neighbors(points: np.ndarray, n_neighbors: int, *, accelerator: str = "cpu") -> Neighbors:
    """Find the nearest other cells of each cell.

    Parameters
    ----------
    points
        Cells x dimensions, finite.
    n_neighbors
        How many; fewer where there are fewer other cells.
    accelerator
        ``cuda`` compares all cells with all on a GPU; ``cpu`` does so up to :data:`EXACT_LIMIT`
        cells and looks in an index above.

    Returns
    -------
    Neighbors
        Exact, but for those of an index. Equal distances go by row number.

    Raises
    ------
    InputError
        When the GPU that is asked for is not there or fails.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    wanted = min(n_neighbors, len(points) - 1)
    many = min(wanted + 2, len(points))  # itself, and one beyond the border
    exact = accelerator == "cuda" or len(points) <= EXACT_LIMIT
    if accelerator == "cuda":
        from emhniche.gpu_neighbors import nearest_on_device

        rows = nearest_on_device(points, many, accelerator)
    else:
        rows = _candidates(points, many) if exact else _indexed(points, many)
    parts = []
    for start in range(0, len(points), ROWS_AT_ONCE):
        own = np.arange(start, min(start + ROWS_AT_ONCE, len(points)))
        parts.append(_rank(points, own, rows[own], wanted, exact=exact and many < len(points)))
    found, squares = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Neighbors(found, np.sqrt(squares))


def join(neighbors: Neighbors) -> sparse.csr_matrix:
    """Weigh the neighbours as UMAP does and make the graph symmetric.

    Parameters
    ----------
    neighbors
        Neighbours of each cell, itself left out.

    Returns
    -------
    scipy.sparse.csr_matrix
        Cells x cells, weights in (0, 1].

    References
    ----------
    McInnes L et al. (2018) UMAP: Uniform Manifold Approximation and Projection for Dimension
    Reduction. arXiv:1802.03426
    """
    n_cells, many = neighbors.rows.shape
    weights = _weights(neighbors.distances)
    rows = np.repeat(np.arange(n_cells), many)
    shape = (n_cells, n_cells)
    graph = sparse.csr_matrix((weights.ravel(), (rows, neighbors.rows.ravel())), shape=shape)
    graph.eliminate_zeros()
    both = graph.multiply(graph.T)
    graph = sparse.csr_matrix(graph + graph.T - both, dtype=np.float32)
    graph.sort_indices()
    return graph


def neighbor_graph(points: np.ndarray, *, n_neighbors: int) -> sparse.csr_matrix:
    """Build the symmetric weighted neighbour graph of UMAP.

    Parameters
    ----------
    points
        Cells x dimensions.
    n_neighbors
        Neighbours a cell, itself included as UMAP and scanpy count them.

    Returns
    -------
    scipy.sparse.csr_matrix
        Cells x cells, weights in (0, 1].
    """
    return join(find_neighbors(points, n_neighbors - 1))


def _candidates(points: np.ndarray, many: int) -> np.ndarray:
    """Return the row numbers (cells x many) of an exact search, which rounds."""
    precise = points.astype(float)
    finder = NearestNeighbors(n_neighbors=many, algorithm="brute").fit(precise)
    return finder.kneighbors(precise, return_distance=False)


def _indexed(points: np.ndarray, many: int) -> np.ndarray:
    """Return row numbers (cells x many) found through an index built and searched by one thread.

    Malkov YA, Yashunin DA (2020) Efficient and robust approximate nearest neighbor search using
    Hierarchical Navigable Small World graphs. doi:10.1109/TPAMI.2018.2889473
    """
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index = faiss.IndexHNSWFlat(points.shape[1], HNSW_LINKS)
        index.hnsw.efConstruction, index.hnsw.efSearch = HNSW_BUILD, max(HNSW_SEARCH, 2 * many)
        index.add(points)
        return index.search(points, many)[1]
    finally:
        faiss.omp_set_num_threads(threads)


def _rank(
    points: np.ndarray, own: np.ndarray, rows: np.ndarray, wanted: int, *, exact: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Order candidates by distance and row; where the border is in doubt, search all cells.

    Returns cells x wanted row numbers and squared distances.
    """
    squares = _squares(points, own, rows)
    rows, squares = _sorted(rows, squares)
    found, nearest = rows[:, :wanted].copy(), squares[:, :wanted].copy()
    if exact:
        # what was no candidate lies no nearer than the last one, but for the search's rounding
        slack = ROUNDING * (
            np.sum(np.square(points[own], dtype=float), axis=1) + squares[:, wanted]
        )
        unsure = np.flatnonzero(nearest[:, -1] + slack >= squares[:, wanted])
        for one in unsure:
            every = np.arange(len(points))[None]
            here, there = _sorted(every, _squares(points, own[[one]], every))
            found[one], nearest[one] = here[0, :wanted], there[0, :wanted]
    return found, nearest


def _squares(points: np.ndarray, own: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return squared distances in double precision; of a cell to itself infinite.

    Dimensions are added one after the other, so every machine adds them in the same order.
    """
    total = np.zeros(rows.shape)
    for column in points.T.astype(float):
        total += np.square(column[own][:, None] - column[rows])
    total[(rows == own[:, None]) | (rows < 0)] = np.inf
    return total


def _sorted(rows: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each row by squared distance, then by row number."""
    order = np.lexsort((rows, squares), axis=1)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(squares, order, axis=1)


def _weights(distances: np.ndarray) -> np.ndarray:
    """Return UMAP's weight of each neighbour: 1 for the nearest, all of a cell add up to log2 k."""
    there = np.isfinite(distances)
    apart = np.where(there & (distances > 0), distances, np.inf)
    nearest = apart.min(axis=1)
    nearest[np.isinf(nearest)] = 0
    beyond = np.where(there, np.maximum(distances - nearest[:, None], 0), np.inf)
    target = np.log2(distances.shape[1] + 1)
    low, high = np.zeros(len(distances)), np.full(len(distances), np.inf)
    width = np.ones(len(distances))
    for _ in range(BISECTIONS):
        total = np.exp(-beyond / width[:, None]).sum(axis=1)
        high = np.where(total > target, width, high)
        low = np.where(total > target, low, width)
        width = np.where(np.isinf(high), 2 * width, (low + high) / 2)
    mean = np.where(there, distances, 0).sum(axis=1) / (there.sum(axis=1) + 1)
    width = np.maximum(width, MIN_WIDTH * np.where(nearest > 0, mean, mean.mean()))
    # where all cells are one point there is no width
    return np.exp(-np.divide(beyond, width[:, None], out=np.zeros_like(beyond), where=beyond > 0))

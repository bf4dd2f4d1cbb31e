"""Which cells belong together, and would another seed say the same?"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from emhniche.io import CELL_ID
from emhniche.neighbors import leiden, neighbor_graph

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clustering:
    """Graph, partition, layout and stability of one run.

    Attributes
    ----------
    graph
        Cells x cells, weights of the neighbour graph.
    clusters
        ``cell_id`` and ``cluster``.
    umap
        ``cell_id``, ``umap_1`` and ``umap_2``.
    stability
        ``resolution``, ``seed``, ``n_clusters`` and ``ari_to_final`` of other partitions.
    """

    graph: sparse.csr_matrix
    clusters: pd.DataFrame
    umap: pd.DataFrame
    stability: pd.DataFrame


def cluster_cells(
    latent: pd.DataFrame,
    *,
    n_neighbors: int,
    resolution: float,
    n_iterations: int,
    stability_factors: list[float],
    stability_seeds: int,
    seed: int,
) -> Clustering:
    """Build the neighbour graph, cut it into clusters, lay it out and try other cuts.

    Parameters
    ----------
    latent
        ``cell_id`` and one column a dimension.
    n_neighbors
        Neighbours a cell.
    resolution
        Leiden resolution of the final partition.
    n_iterations
        Leiden iterations; -1 goes on until nothing improves.
    stability_factors
        Further partitions are made at the resolution times these factors ...
    stability_seeds
        ... and at so many seeds each.
    seed
        Seed of the final partition and of the layout.

    Returns
    -------
    Clustering
        Everything the stage writes.
    """
    graph, clusters = partition(
        latent, n_neighbors=n_neighbors, resolution=resolution, n_iterations=n_iterations, seed=seed
    )
    points, names = _points(latent), clusters["cluster"].to_numpy()
    layout = _umap(points, graph, seed=seed)
    logger.info("layout done")
    return Clustering(
        graph=graph,
        clusters=clusters,
        umap=latent[[CELL_ID]].assign(umap_1=layout[:, 0], umap_2=layout[:, 1]),
        stability=partition_stability(
            graph,
            names,
            resolutions=[resolution * factor for factor in stability_factors],
            n_seeds=stability_seeds,
            n_iterations=n_iterations,
            seed=seed,
        ),
    )


def partition(
    latent: pd.DataFrame, *, n_neighbors: int, resolution: float, n_iterations: int, seed: int
) -> tuple[sparse.csr_matrix, pd.DataFrame]:
    """Build the neighbour graph and cut it into clusters.

    Parameters are those of :func:`cluster_cells`.

    Returns
    -------
    graph : scipy.sparse.csr_matrix
        Cells x cells, weights of the neighbour graph.
    clusters : pandas.DataFrame
        ``cell_id`` and ``cluster``.
    """
    points = _points(latent)
    graph = neighbor_graph(points, n_neighbors=n_neighbors, seed=seed)
    logger.info("graph of %d cells built", len(points))
    names = leiden(graph, resolution=resolution, seed=seed, n_iterations=n_iterations)
    logger.info("%d clusters at resolution %g", len(set(names)), resolution)
    return graph, latent[[CELL_ID]].assign(cluster=names)


def partition_stability(
    graph: sparse.csr_matrix,
    final: np.ndarray,
    *,
    resolutions: list[float],
    n_seeds: int,
    n_iterations: int,
    seed: int,
) -> pd.DataFrame:
    """Cut the graph again at other resolutions and seeds and compare with the final partition.

    Parameters
    ----------
    graph
        Cells x cells.
    final
        Cluster of each cell.
    resolutions
        Resolutions to try.
    n_seeds
        Seeds a resolution: ``seed + 1`` to ``seed + n_seeds``.
    n_iterations
        Leiden iterations.
    seed
        Seed of the final partition.

    Returns
    -------
    pandas.DataFrame
        ``resolution``, ``seed``, ``n_clusters``, ``ari_to_final`` (adjusted Rand index; 1 is the
        same partition, 0 what chance gives).
    """
    rows = []
    for resolution in resolutions:
        for number in range(seed + 1, seed + n_seeds + 1):
            names = leiden(graph, resolution=resolution, seed=number, n_iterations=n_iterations)
            ari = adjusted_rand_score(final, names)
            rows.append((resolution, number, len(set(names)), ari))
    return pd.DataFrame(rows, columns=["resolution", "seed", "n_clusters", "ari_to_final"])


def _points(latent: pd.DataFrame) -> np.ndarray:
    return latent.drop(columns=CELL_ID).to_numpy(dtype=np.float32)


def _umap(points: np.ndarray, graph: sparse.csr_matrix, *, seed: int) -> np.ndarray:
    """Two coordinates a cell, for display only (McInnes 2018, arXiv 1802.03426)."""
    cells = AnnData(np.zeros((len(points), 0), dtype=np.float32))
    cells.obsm["latent"] = points
    cells.obsp["connectivities"] = graph
    cells.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "params": {"method": "umap", "use_rep": "latent"},
    }
    sc.tl.umap(cells, random_state=seed)
    return np.asarray(cells.obsm["X_umap"], dtype=np.float32)

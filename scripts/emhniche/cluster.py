"""Which cells belong together, and would another seed say the same?"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError
from emhniche.graph import find_neighbors
from emhniche.io import CELL_ID
from emhniche.joining import CLUSTER_COLUMNS, Clusters, choose, join_dissolving, tree
from emhniche.partitions import Cut, Cutter, candidates, rand_index

FOUND_AGAIN_COLUMNS = ["resolution", "chosen", *CLUSTER_COLUMNS]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clustering:
    """Graph, partition and stability of one run.

    Attributes
    ----------
    graph
        Cells x cells, weights of the neighbour graph.
    clusters
        ``cell_id`` and ``cluster``.
    stability
        One row a partition that was made: ``resolution``, ``cells`` (``all`` or ``subsample``),
        ``number``, ``n_clusters`` and ``ari_to_final`` (adjusted Rand index to the one that was
        taken, before its clusters are joined; 1 is the same partition, 0 what chance gives).
    resolutions
        One row a resolution, as :func:`emhniche.joining.choose` returns it, and ``chosen``.
    found_again
        One row a cluster of each resolution: ``resolution``, ``chosen``, and the columns of
        :class:`emhniche.joining.Clusters`.
    tree
        Where the cells of each cluster lie at the next resolution
        (:func:`emhniche.joining.tree`).
    """

    graph: sparse.csr_matrix
    clusters: pd.DataFrame
    stability: pd.DataFrame
    resolutions: pd.DataFrame
    found_again: pd.DataFrame
    tree: pd.DataFrame

    def of_clusters(self) -> pd.Series:
        """Return ``found_again`` of the clusters that were taken, indexed by cluster."""
        chosen = self.found_again[self.found_again["chosen"]]
        return chosen.set_index("cluster")["found_again"]


def cluster_cells(
    latent: pd.DataFrame,
    *,
    n_neighbors: int,
    resolutions: Sequence[float],
    n_seeds: int,
    n_subsamples: int,
    accelerator: str,
    seed: int,
    threads: int = 1,
) -> Clustering:
    """Build the neighbour graph and cut it into the clusters that are found again.

    Parameters
    ----------
    latent
        ``cell_id`` and one column a dimension.
    n_neighbors
        Neighbours a cell, itself included.
    resolutions
        Leiden resolutions to choose from by stability; one alone is taken as it is.
    n_seeds
        Partitions of all cells at the resolution that is taken; the most central one is final.
    n_subsamples
        Subsamples that are cut at each resolution.
    accelerator
        Where neighbours are searched (:func:`emhniche.graph.find_neighbors`).
    seed
        Seed of everything that is drawn.
    threads
        Processes that make partitions; what comes out does not depend on it.

    Returns
    -------
    Clustering
        Everything the stage writes but the layout.

    Raises
    ------
    InputError
        When there are fewer than three cells, or coordinates that are no numbers; when the GPU
        that is asked for is not there or fails.
    """
    points = latent.drop(columns=CELL_ID).to_numpy(dtype=np.float32)
    if len(points) < 3 or not np.isfinite(points).all():
        raise InputError(
            f"latent.parquet: {len(points)} cells with finite coordinates in every dimension are "
            "needed, three at least; look at the log of integrate"
        )
    tried = sorted(map(float, resolutions))
    joined = n_neighbors - 1
    neighbors = find_neighbors(points, candidates(joined), accelerator=accelerator)
    logger.info("neighbours of %d cells found", len(points))
    cutter = Cutter(
        neighbors, n_neighbors=joined, n_subsamples=n_subsamples, seed=seed, threads=threads
    )
    cuts = cutter.cut(tried)
    clusters = [join_dissolving(cuts, number) for number in range(len(cuts))]
    taken, curve = choose(clusters, n_neighbors=joined)
    cuts[taken] = cutter.refine(cuts[taken], n_seeds)
    clusters[taken] = join_dissolving(cuts, taken)
    curve.loc[taken] = choose(clusters[taken : taken + 1], n_neighbors=joined)[1].loc[0]
    _say(curve.loc[taken], clusters[taken])
    curve["chosen"] = np.arange(len(curve)) == taken
    return Clustering(
        graph=cutter.graph,
        clusters=latent[[CELL_ID]].assign(cluster=clusters[taken].names),
        stability=_compare(cuts, cuts[taken].names),
        resolutions=curve,
        found_again=_by_resolution(clusters, taken),
        tree=tree(clusters),
    )


def _by_resolution(clusters: list[Clusters], taken: int) -> pd.DataFrame:
    """Return how often each cluster of each resolution is found again."""
    parts = [
        one.table.assign(resolution=one.resolution, chosen=number == taken)
        for number, one in enumerate(clusters)
    ]
    return pd.concat(parts, ignore_index=True)[FOUND_AGAIN_COLUMNS]


def _compare(cuts: list[Cut], final: np.ndarray) -> pd.DataFrame:
    """Compare every partition that was made with the final one."""
    rows = []
    for cut in cuts:
        every = np.arange(len(final))
        partitions = [("all", every, names) for names in cut.seeds]
        partitions += [("subsample", drawn, names) for drawn, names in cut.drawn]
        for number, (kind, cells, names) in enumerate(partitions):
            ari = rand_index(final[cells], names)
            rows.append((cut.resolution, kind, number, len(np.unique(names)), ari))
    return pd.DataFrame(
        rows, columns=["resolution", "cells", "number", "n_clusters", "ari_to_final"]
    )


def _say(chosen: pd.Series, clusters: Clusters) -> None:
    """Write to the log what was taken, and warn where it is not stable."""
    text = (
        "%d clusters at resolution %g, of %d before joining; %d are found again in most subsamples"
    )
    leiden = clusters.table["n_joined"].sum()
    logger.info(text, chosen["n_clusters"], chosen["resolution"], leiden, chosen["n_stable"])
    if chosen["verdict"] != "stable":
        logger.warning("the partition is %s: other cells would give others", chosen["verdict"])

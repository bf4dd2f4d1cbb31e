"""Which parts has one lineage, when its cells are clustered by themselves?"""

from collections.abc import Mapping

import anndata as ad
import pandas as pd

from emhniche.annotate import cluster_markers
from emhniche.cluster import Clustering, cluster_cells
from emhniche.errors import InputError
from emhniche.io import CELL_ID

MIN_CELLS = 100
"""Fewest cells of a lineage that are clustered by themselves; ours."""

MYELOID = ("neutrophil", "monocyte_macrophage", "DC", "mast_basophil", "eosinophil")
"""Lineages that ``myeloid`` stands for."""


def zoom_in(
    cells: ad.AnnData,
    latent: pd.DataFrame,
    annotation: pd.DataFrame,
    *,
    lineage: str,
    settings: Mapping,
    seed: int,
) -> tuple[Clustering, pd.DataFrame]:
    """Cluster the cells of one lineage, as the stage clusters all cells, and list their markers.

    Parameters
    ----------
    cells
        Cells x genes, raw counts; ``obs`` with ``dataset``.
    latent
        ``cell_id`` and one column a dimension, of all cells.
    annotation
        ``cell_id``, ``lineage`` and ``cell_type`` of all cells.
    lineage
        A lineage, or ``myeloid`` for all of :data:`MYELOID`.
    settings
        Keyword arguments of :func:`emhniche.cluster.cluster_cells` but the seed.
    seed
        Seed of everything that is drawn.

    Returns
    -------
    found : Clustering
        Clusters of the lineage, with how often each is found again.
    markers : pandas.DataFrame
        Genes that set each cluster apart from the other cells of the lineage
        (:func:`emhniche.annotate.cluster_markers`); lineage and cell type are the most frequent of
        its cells.

    Raises
    ------
    InputError
        When the lineage has fewer than :data:`MIN_CELLS` cells.
    """
    wanted = MYELOID if lineage == "myeloid" else (lineage,)
    own = annotation[annotation["lineage"].isin(wanted)].set_index(CELL_ID)
    if len(own) < MIN_CELLS:
        raise InputError(
            f"config: cluster.zoom: '{lineage}' has {len(own)} cells in this run and {MIN_CELLS} "
            "are needed; name a lineage with more cells, or leave it out"
        )
    part = latent[latent[CELL_ID].isin(own.index)].reset_index(drop=True)
    found = cluster_cells(part, seed=seed, **settings)
    groups = found.clusters.set_index(CELL_ID)["cluster"]
    own = own.loc[groups.index].assign(cluster=groups)
    named = own.groupby("cluster")[["lineage", "cell_type"]].agg(_most_frequent).reset_index()
    subset = cells[groups.index]
    datasets = subset.obs["dataset"].astype(str)
    return found, cluster_markers(subset, groups, datasets, named)


def _most_frequent(values: pd.Series) -> str:
    """Return the most frequent value; of equals the first by name."""
    return str(values.value_counts().sort_index().idxmax())

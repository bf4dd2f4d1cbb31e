"""Which parts has one lineage, when its cells are clustered by themselves?"""

import logging
from collections.abc import Mapping

import anndata as ad
import pandas as pd
from scipy import sparse

from emhniche.ambient_genes import flag_markers
from emhniche.annotate import cluster_markers
from emhniche.cluster import FOUND_AGAIN_COLUMNS, Clustering, cluster_cells
from emhniche.io import CELL_ID
from emhniche.joining import CURVE_COLUMNS
from emhniche.marker_evidence import TEST_COLUMNS

MIN_CELLS = 100
"""Fewest cells of a lineage that are clustered by themselves; ours."""

MARKER_COLUMNS = [
    *("cluster", "lineage", "cell_type", "gene"),
    *("log2_fold_change", "pct_in", "pct_out", "auroc", "score"),
    *TEST_COLUMNS,
    "ambient",
]
"""Columns of the tables of a zoom, for one without a row."""

logger = logging.getLogger(__name__)

OUTSIDE = "outside "
"""Begins the name of a group of cells that are not zoomed in on."""

MYELOID = ("neutrophil", "monocyte_macrophage", "DC", "mast_basophil", "eosinophil")
"""Lineages that ``myeloid`` stands for."""


def zoom_in(
    cells: ad.AnnData,
    latent: pd.DataFrame,
    annotation: pd.DataFrame,
    *,
    lineage: str,
    listed: pd.DataFrame,
    settings: Mapping,
    seed: int,
) -> tuple[Clustering, pd.DataFrame]:
    """Cluster the cells of one lineage, as the stage clusters all cells, and list their markers.

    Parameters
    ----------
    cells
        Cells x genes, raw counts; ``obs`` with ``dataset``, ``sample``, ``donor`` and
        ``donor_known``.
    latent
        ``cell_id`` and one column a dimension, of all cells.
    annotation
        ``cell_id``, ``lineage`` and ``cell_type`` of all cells.
    lineage
        A lineage, or ``myeloid`` for all of :data:`MYELOID`.
    listed
        As :func:`emhniche.resources.load_ambient` returns it.
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
        (:func:`emhniche.annotate.cluster_markers`, :func:`emhniche.ambient_genes.flag_markers`);
        lineage and cell type are the most frequent of its cells.

    Where the lineage has fewer than :data:`MIN_CELLS` cells, all tables are without a row.
    """
    wanted = MYELOID if lineage == "myeloid" else (lineage,)
    own = annotation[annotation["lineage"].isin(wanted)].set_index(CELL_ID)
    if len(own) < MIN_CELLS:
        logger.warning(
            "%s has %d cells and %d are needed: not clustered by itself",
            lineage,
            len(own),
            MIN_CELLS,
        )
        return _nothing()
    part = latent[latent[CELL_ID].isin(own.index)].reset_index(drop=True)
    found = cluster_cells(part, seed=seed, **settings)
    groups = found.clusters.set_index(CELL_ID)["cluster"]
    own = own.loc[groups.index].assign(cluster=groups)
    named = own.groupby("cluster")[["lineage", "cell_type"]].agg(_most_frequent).reset_index()
    subset = cells[groups.index]
    datasets = subset.obs["dataset"].astype(str)
    markers = cluster_markers(subset, groups, datasets, named)
    return found, _flagged(cells, annotation, groups, named, markers, listed)


def _flagged(
    cells: ad.AnnData,
    annotation: pd.DataFrame,
    groups: pd.Series,
    named: pd.DataFrame,
    markers: pd.DataFrame,
    listed: pd.DataFrame,
) -> pd.DataFrame:
    """Flag the markers that ambient RNA explains; the cells outside the zoom are its sources."""
    of_cell = annotation.set_index(CELL_ID)["lineage"].reindex(cells.obs_names).astype(str)
    clusters = groups.astype(str).reindex(cells.obs_names)
    clusters = clusters.fillna(OUTSIDE + of_cell)
    outside = pd.unique(clusters[clusters.str.startswith(OUTSIDE)])
    others = pd.DataFrame(
        {"cluster": outside, "lineage": [name[len(OUTSIDE) :] for name in outside]}
    )
    every = pd.concat([named[["cluster", "lineage"]], others])
    return flag_markers(cells, clusters, every, markers, listed)[0]


def _nothing() -> tuple[Clustering, pd.DataFrame]:
    """Return tables without a row, for a lineage of too few cells."""
    found = Clustering(
        graph=sparse.csr_matrix((0, 0)),
        clusters=pd.DataFrame(columns=[CELL_ID, "cluster"]),
        stability=pd.DataFrame(),
        resolutions=pd.DataFrame(columns=[*CURVE_COLUMNS, "chosen"]),
        found_again=pd.DataFrame(columns=FOUND_AGAIN_COLUMNS),
        tree=pd.DataFrame(),
    )
    return found, pd.DataFrame(columns=MARKER_COLUMNS)


def _most_frequent(values: pd.Series) -> str:
    """Return the most frequent value; of equals the first by name."""
    return str(values.value_counts().sort_index().idxmax())

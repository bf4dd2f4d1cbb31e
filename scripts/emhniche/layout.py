"""Where does each cell lie on the map? For display only; nothing is measured on it."""

import logging

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from emhniche.gpu_layout import lay_out_on_device
from emhniche.io import CELL_ID
from emhniche.rapids import find_cuml

logger = logging.getLogger(__name__)


def lay_out(
    latent: pd.DataFrame, graph: sparse.csr_matrix, *, accelerator: str, seed: int
) -> pd.DataFrame:
    """Lay the neighbour graph out on a plane.

    Parameters
    ----------
    latent
        ``cell_id`` and one column a dimension.
    graph
        Cells x cells, weights of the neighbour graph.
    accelerator
        ``cpu``, or ``cuda``: RAPIDS cuML lays the same graph out from the same start.
    seed
        Seed of the layout.

    Returns
    -------
    pandas.DataFrame
        ``cell_id``, ``umap_1`` and ``umap_2`` (no unit).

    Raises
    ------
    InputError
        When a GPU is asked for, and cuML or the device is not there or fails.

    References
    ----------
    McInnes L et al. (2018) UMAP: Uniform Manifold Approximation and Projection for Dimension
    Reduction. arXiv:1802.03426
    """
    embed = find_cuml() if accelerator == "cuda" else None
    cells = AnnData(np.zeros((len(latent), 0), dtype=np.float32))
    cells.obsm["latent"] = latent.drop(columns=CELL_ID).to_numpy(dtype=np.float32)
    cells.obsp["connectivities"] = graph
    cells.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "params": {"method": "umap", "use_rep": "latent"},
    }
    # no pass at all leaves the cells where umap-learn begins
    sc.tl.umap(cells, random_state=seed, maxiter=0 if embed else None)
    place = cells.obsm["X_umap"]
    if embed:
        curve = cells.uns["umap"]["params"]
        place = lay_out_on_device(
            embed,
            cells.obsm["latent"],
            graph,
            start=place,
            curve=(curve["a"], curve["b"]),
            seed=seed,
        )
    logger.info("the map of %d cells was laid out on %s", len(latent), accelerator)
    place = np.asarray(place, dtype=np.float32)
    return latent[[CELL_ID]].assign(umap_1=place[:, 0], umap_2=place[:, 1])

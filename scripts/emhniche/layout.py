"""Where does each cell lie on the map? For display only; nothing is measured on it."""

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from emhniche.io import CELL_ID


def lay_out(latent: pd.DataFrame, graph: sparse.csr_matrix, *, seed: int) -> pd.DataFrame:
    """Lay the neighbour graph out on a plane.

    Parameters
    ----------
    latent
        ``cell_id`` and one column a dimension.
    graph
        Cells x cells, weights of the neighbour graph.
    seed
        Seed of the layout.

    Returns
    -------
    pandas.DataFrame
        ``cell_id``, ``umap_1`` and ``umap_2`` (no unit).

    References
    ----------
    McInnes L et al. (2018) UMAP: Uniform Manifold Approximation and Projection for Dimension
    Reduction. arXiv:1802.03426
    """
    cells = AnnData(np.zeros((len(latent), 0), dtype=np.float32))
    cells.obsm["latent"] = latent.drop(columns=CELL_ID).to_numpy(dtype=np.float32)
    cells.obsp["connectivities"] = graph
    cells.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "params": {"method": "umap", "use_rep": "latent"},
    }
    sc.tl.umap(cells, random_state=seed)
    place = np.asarray(cells.obsm["X_umap"], dtype=np.float32)
    return latent[[CELL_ID]].assign(umap_1=place[:, 0], umap_2=place[:, 1])

"""What counts does an HDF5 file, or a 10x Genomics folder, hold?"""

import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError
from emhniche.formats_common import Source

logger = logging.getLogger(__name__)

GENE_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id")
SYMBOL_COLUMNS = ("feature_name", "gene_symbol", "gene_symbols", "symbol", "gene_name")


def read_h5ad_counts(path: Path) -> Source:
    """Read an AnnData file, from the first of X, layers['counts'] and raw.X with whole numbers.

    Raises
    ------
    InputError
        When the file cannot be read or none of the three holds whole numbers.
    """
    data = _open_h5ad(path)
    places = {"X": (data.X, data.var)}
    if "counts" in data.layers:
        places["layers['counts']"] = (data.layers["counts"], data.var)
    if data.raw is not None:
        places["raw.X"] = (data.raw.X, data.raw.var)
    for place, (matrix, genes) in places.items():
        if matrix is not None and _is_whole(matrix):
            logger.info("%s: counts taken from %s", path, place)
            symbols, ids = _gene_names(genes)
            return Source(
                sparse.csr_matrix(matrix),
                data.obs_names.to_numpy(dtype=object),
                symbols,
                ids,
                data.obs,
            )
    raise InputError(
        f"{path}: none of {', '.join(places)} holds whole numbers; give raw counts, "
        "not normalised values"
    )


def read_h5ad_metadata(path: Path) -> pd.DataFrame:
    """Read the cell metadata (``obs``) of an AnnData file."""
    obs = _open_h5ad(path, backed="r").obs
    if obs.shape[1] == 0:
        raise InputError(f"{path}: obs has no column; metadata of cells is needed")
    return obs


def read_10x_h5(path: Path) -> Source:
    """Read a 10x Genomics HDF5 matrix, gene expression only."""
    import scanpy as sc

    return _from_10x(path, sc.read_10x_h5)


def read_10x_mtx(path: Path) -> Source:
    """Read a 10x Genomics folder of matrix, features (or genes) and barcodes, gene expression only.

    File names may carry one common prefix, as GEO adds it (``GSM123_matrix.mtx.gz``).
    """
    import scanpy as sc

    matrices = sorted(path.glob("*matrix.mtx*"))
    if len(matrices) != 1:
        raise InputError(
            f"{path}: {len(matrices)} files named *matrix.mtx or *matrix.mtx.gz; exactly one is "
            "needed, with its features (or genes) and barcodes beside it"
        )
    prefix = matrices[0].name.split("matrix.mtx")[0]
    compressed = matrices[0].suffix == ".gz"
    return _from_10x(
        path,
        lambda folder: sc.read_10x_mtx(
            folder, make_unique=False, prefix=prefix or None, compressed=compressed
        ),
    )


def detect_h5(path: Path) -> str:
    """Tell a 10x Genomics HDF5 matrix from AnnData by its groups."""
    import h5py

    with h5py.File(path, "r") as handle:
        if "obs" in handle and "var" in handle:
            return "h5ad"
        if "matrix" in handle or any("barcodes" in handle[name] for name in handle):
            return "10x_h5"
    raise InputError(f"{path}: HDF5, but neither AnnData (obs, var) nor 10x Genomics (matrix)")


def _from_10x(path: Path, reader: object) -> Source:
    try:
        data = reader(path)
    except Exception as error:
        raise InputError(
            f"{path}: not readable as 10x Genomics counts ({type(error).__name__}: {error})"
        ) from error
    symbols, ids = _gene_names(data.var)
    return Source(sparse.csr_matrix(data.X), data.obs_names.to_numpy(dtype=object), symbols, ids)


def _open_h5ad(path: Path, backed: str | None = None) -> ad.AnnData:
    try:
        return ad.read_h5ad(path, backed=backed)
    except Exception as error:
        raise InputError(
            f"{path}: not readable as h5ad ({type(error).__name__}: {error})"
        ) from error


def _is_whole(matrix: sparse.spmatrix | np.ndarray) -> bool:
    values = matrix.data if sparse.issparse(matrix) else np.asarray(matrix)
    return bool(np.all(values == np.floor(values)))


def _gene_names(genes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
    """Return symbols and Ensembl ids from an AnnData ``var``, whichever of them is the index."""
    index = genes.index.astype(str)
    if index.str.match(r"ENS[A-Z]*G\d").mean() > 0.5:
        column = next((name for name in SYMBOL_COLUMNS if name in genes), None)
        symbols = index if column is None else genes[column].astype(str)
        return np.asarray(symbols, dtype=object), np.asarray(index, dtype=object)
    column = next((name for name in GENE_ID_COLUMNS if name in genes), None)
    ids = None if column is None else np.asarray(genes[column].astype(str), dtype=object)
    return np.asarray(index, dtype=object), ids

"""What counts does an HDF5 file, or a 10x Genomics folder, hold?"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from scipy import sparse

from emhniche.errors import InputError
from emhniche.formats_common import Source, one_line

logger = logging.getLogger(__name__)

COUNT_PLACES = {"X": "var", "layers/counts": "var", "raw/X": "raw/var"}
"""Where an AnnData file may hold counts, in the order tried, and the genes that go with them."""
GENE_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id")
SYMBOL_COLUMNS = ("feature_name", "gene_symbol", "gene_symbols", "symbol", "gene_name")


def read_h5ad_counts(path: Path) -> Source:
    """Read an AnnData file, from the first of X, layers['counts'] and raw.X with whole numbers.

    Raises
    ------
    InputError
        When the file cannot be read or none of the three holds whole numbers.
    """
    with _opened(path) as handle:
        places = [place for place in COUNT_PLACES if place in handle]
        for place in places:
            matrix = read_elem(handle[place])
            if not _is_whole(matrix):
                continue
            logger.info("%s: counts taken from %s", path, place)
            symbols, ids = _gene_names(read_elem(handle[COUNT_PLACES[place]]))
            obs = read_elem(handle["obs"])
            names = obs.index.to_numpy(dtype=object)
            return Source(sparse.csr_matrix(matrix), names, symbols, ids, obs)
    raise InputError(
        f"{path}: none of {', '.join(places) or 'X, layers/counts, raw/X'} holds whole numbers; "
        "give raw counts, not normalised values"
    )


def read_h5ad_metadata(path: Path) -> pd.DataFrame:
    """Read the cell metadata (``obs``) of an AnnData file."""
    with _opened(path) as handle:
        obs = read_elem(handle["obs"])
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
    with _opened(path) as handle:
        if "obs" in handle and "var" in handle:
            return "h5ad"
        if any("barcodes" in group for group in handle.values() if isinstance(group, h5py.Group)):
            return "10x_h5"
    raise InputError(f"{path}: HDF5, but neither AnnData (obs, var) nor 10x Genomics (barcodes)")


def _from_10x(path: Path, reader: Callable[[Path], ad.AnnData]) -> Source:
    try:
        data = reader(path)
    except Exception as error:
        raise InputError(
            f"{path}: not readable as 10x Genomics counts ({one_line(error)})"
        ) from error
    symbols, ids = _gene_names(data.var)
    return Source(sparse.csr_matrix(data.X), data.obs_names.to_numpy(dtype=object), symbols, ids)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file; turn what a broken one raises into one line for the user."""
    try:
        with h5py.File(path, "r") as handle:
            yield handle
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: not readable as HDF5 counts ({one_line(error)})") from error


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

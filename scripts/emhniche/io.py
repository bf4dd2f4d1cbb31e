"""Reading and writing the tables and matrices that stages hand to each other.

Every writer writes to a temporary name in the target's folder and renames it into place, so a
killed job leaves either the whole file or none. Tables are written so that equal content gives
equal bytes.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    import anndata as ad  # else where it is used: many jobs read tables alone and need not wait

CELL_ID = "cell_id"
"""Key of every per-cell table: ``<sample>:<barcode>``, unique over the run."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` when the block succeeds.

    Parameters
    ----------
    path
        Final location. Its parent folder is made when absent.

    Yields
    ------
    pathlib.Path
        Where to write. It is removed when the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` and rename it to `path` when the block succeeds.

    Parameters
    ----------
    path
        Final location. What is there is replaced as a whole, its parent folder made when absent.

    Yields
    ------
    pathlib.Path
        Empty folder to write into. It is removed when the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(text: str, path: str | Path) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(data: object, path: str | Path) -> None:
    """Write `data` as indented JSON with sorted keys, atomically; NaN becomes null."""
    write_text(json.dumps(_plain(data), indent=1, sort_keys=True, allow_nan=False) + "\n", path)


def read_json(path: str | Path) -> dict:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write `table` without its index, atomically.

    Parameters
    ----------
    table
        Rows to write, in their order.
    path
        ``.parquet`` or ``.tsv``. TSV holds floats with 6 significant digits and empty for missing.
    """
    with atomic_path(path) as temporary:
        if Path(path).suffix == ".parquet":
            table.to_parquet(temporary, index=False, compression="zstd")
        else:
            table.to_csv(temporary, sep="\t", index=False, float_format="%.6g", lineterminator="\n")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a ``.parquet`` or ``.tsv`` table. In TSV only an empty field is missing.

    Names of samples are text, also where all of them are numbers.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    text = {"sample": str}
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""], dtype=text)


def write_h5ad(adata: "ad.AnnData", path: str | Path) -> None:
    """Write `adata` to `path` with light compression, atomically."""
    with atomic_path(path) as temporary:
        adata.write_h5ad(temporary, compression="gzip", compression_opts=1)


def read_h5ad(path: str | Path) -> "ad.AnnData":
    """Read an ``.h5ad`` file into memory."""
    import anndata as ad

    return ad.read_h5ad(path)


def read_genes(path: str | Path, mark: str, *, rows: int = 2_000) -> "ad.AnnData":
    """Read only the genes of an ``.h5ad`` file that are marked, some cells at a time.

    Parameters
    ----------
    path
        Cells x genes, ``X`` as CSR.
    mark
        Boolean column of ``var``.
    rows
        Cells held at once with all their genes.

    Returns
    -------
    anndata.AnnData
        ``X``, ``obs`` and ``var`` of the marked genes.
    """
    import anndata as ad
    import h5py
    from anndata.io import read_elem, sparse_dataset

    with h5py.File(path) as store:
        obs, var = read_elem(store["obs"]), read_elem(store["var"])
        marked = var[mark].to_numpy(dtype=bool)
        counts = sparse_dataset(store["X"])
        parts = [
            counts[start : min(start + rows, len(obs))][:, marked]
            for start in range(0, len(obs), rows)
        ]
    return ad.AnnData(sparse.vstack(parts, format="csr"), obs=obs, var=var[marked])


def read_obs(path: str | Path) -> pd.DataFrame:
    """Read only the cells' table of an ``.h5ad`` file, indexed by ``cell_id``."""
    import h5py
    from anndata.io import read_elem

    with h5py.File(path) as store:
        return read_elem(store["obs"])


def as_counts(matrix: sparse.spmatrix | sparse.sparray | np.ndarray) -> sparse.csr_matrix:
    """Return counts as CSR of float32 with int32 indices, sorted and without stored zeros.

    Both index arrays get one type: mixed types break ``scanpy.pp.calculate_qc_metrics``.

    Parameters
    ----------
    matrix
        Cells x genes, non-negative integers of any numeric type.

    Returns
    -------
    scipy.sparse.csr_matrix
        The same values. Where more than 2**31 - 1 are stored, both index arrays are int64.
    """
    counts = sparse.csr_matrix(matrix, dtype=np.float32)
    counts.eliminate_zeros()
    counts.sum_duplicates()
    counts.sort_indices()
    kind = np.int32 if counts.nnz < np.iinfo(np.int32).max else np.int64
    counts.indices = counts.indices.astype(kind, copy=False)
    counts.indptr = counts.indptr.astype(kind, copy=False)
    return counts


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _plain(value: object) -> object:
    """Turn numpy scalars, paths and NaN into what JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray, pd.Series, pd.Index)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value

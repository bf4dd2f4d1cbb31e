"""Which format is this file in, and what counts does it hold?

``read_counts`` reads any of the accepted formats into one :class:`Source`: counts as CSR with
cells in rows, names of cells and genes, and whatever the file says about its cells. The formats:

================== ==================================================================
geo_text           genes in rows; the header holds barcodes only, one field short
tsv_genes_by_cells genes in rows; the header names the first column too
tsv_cells_by_genes cells in rows; the header names the first column too
rda, rds           R objects: Seurat, ExpressionSet, dgCMatrix (``formats_r``)
h5ad               AnnData: raw.X, layers['counts'] or X, whichever holds integers
10x_h5             10x Genomics ``filtered_feature_bc_matrix.h5``
10x_mtx            a folder with 10x Genomics matrix, features and barcodes files
================== ==================================================================
"""

from pathlib import Path

import pandas as pd

from emhniche import formats_h5, formats_r, formats_text
from emhniche.errors import InputError
from emhniche.formats_common import Source, open_bytes, reading

FORMATS = (
    "auto",
    "geo_text",
    "tsv_genes_by_cells",
    "tsv_cells_by_genes",
    "rda",
    "rds",
    "h5ad",
    "10x_h5",
    "10x_mtx",
)
TEXT_FORMATS = FORMATS[1:4]
R_FORMATS = ("rda", "rds")


def read_counts(path: str | Path, file_format: str = "auto") -> Source:
    """Read the counts of one file.

    Parameters
    ----------
    path
        File, or folder for ``10x_mtx``.
    file_format
        One of ``FORMATS``; ``auto`` decides by content.

    Returns
    -------
    Source
        Counts with cells in rows.

    Raises
    ------
    InputError
        When the file is absent, broken, empty or in no accepted format.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; give a registry file, a path or a url")
    if file_format not in FORMATS:
        raise InputError(f"{path}: unknown format '{file_format}'; accepted: {', '.join(FORMATS)}")
    kind = detect_format(path) if file_format == "auto" else file_format
    if kind in TEXT_FORMATS:
        source = formats_text.read_text_counts(path, kind)
    elif kind in R_FORMATS:
        source = formats_r.read_r_counts(path)
    else:
        source = {
            "h5ad": formats_h5.read_h5ad_counts,
            "10x_h5": formats_h5.read_10x_h5,
            "10x_mtx": formats_h5.read_10x_mtx,
        }[kind](path)
    if 0 in source.counts.shape:
        raise InputError(
            f"{path}: {source.counts.shape[0]} cells x {source.counts.shape[1]} genes; "
            "a count matrix with at least one of each is needed"
        )
    return source


def read_metadata(path: str | Path) -> pd.DataFrame | pd.Series:
    """Read what a file says about cells, leaving its counts aside.

    Parameters
    ----------
    path
        A table keyed by barcode in its first column (TSV or CSV), an R data frame or factor, or
        any object that ``read_counts`` takes and that carries metadata.

    Returns
    -------
    pandas.DataFrame or pandas.Series
        Table indexed by barcode; a Series without barcodes for a bare R factor, whose order is
        that of the cells of the counts.

    Raises
    ------
    InputError
        When the file is absent, broken or carries no metadata.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; give a registry file, a path or a url")
    opening = _opening(path)
    if _is_r(opening):
        return formats_r.read_r_metadata(path)
    if opening.startswith(b"\x89HDF"):
        return formats_h5.read_h5ad_metadata(path)
    return formats_text.read_text_metadata(path)


def detect_format(path: Path) -> str:
    """Name the format of `path` from its content, not from its extension.

    Raises
    ------
    InputError
        When nothing fits, or when a text table does not tell genes from cells.
    """
    if path.is_dir():
        return "10x_mtx"
    opening = _opening(path)
    if opening.startswith(b"\x89HDF"):
        return formats_h5.detect_h5(path)
    if _is_r(opening):
        return "rda" if opening.startswith(b"RD") else "rds"
    if b"\0" in opening:
        raise InputError(f"{path}: neither text nor HDF5 nor R data; accepted: {_accepted()}")
    return formats_text.detect_text(path)


def _opening(path: Path) -> bytes:
    """Return the first bytes of the file's content, decompressed."""
    with reading(path), open_bytes(path) as handle:
        return handle.read(512)


def _is_r(opening: bytes) -> bool:
    """Tell whether bytes open an R workspace (RDX2, RDA3, ...) or one serialised R object."""
    return opening[:3] in (b"RDX", b"RDA") or opening[:2] in (b"X\n", b"A\n", b"B\n")


def _accepted() -> str:
    return ", ".join(FORMATS[1:])

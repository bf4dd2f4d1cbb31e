"""What counts and metadata does an R file hold?

R objects are read without R through the ``rdata`` library. Accepted: a Seurat object (the raw
counts of its active assay, and ``meta.data``), a Biobase ExpressionSet (``exprs`` and
``phenoData``), a bare dgCMatrix or matrix; for metadata also a data frame and a bare factor.

``rdata.parser.parse_file`` holds a file four times over while it reads: decompressed, as a buffer,
and each array as bytes and as numbers. A dense ExpressionSet of 4,590 wells took 3.1 GB that way;
read from the stream, block by block into its place, it takes 0.9 GB.
"""

import io
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError
from emhniche.formats_common import Source, one_line, open_bytes, reading

ACCEPTED = "a Seurat object (v3 or v4), an ExpressionSet, a dgCMatrix or a matrix"
DENSE_CELLS = 512
"""Cells turned from dense to sparse at a time."""
BLOCK = 2**22
"""Numbers read from the stream at a time."""


def read_r_counts(path: Path) -> Source:
    """Read the counts of an ``.rda`` or ``.rds`` file that holds one accepted object.

    Parameters
    ----------
    path
        File written by R's ``save`` or ``saveRDS``, with any of its compressions.

    Returns
    -------
    Source
        Counts with cells in rows, and the object's metadata.

    Raises
    ------
    InputError
        When the file cannot be read or holds none or several accepted objects.
    """
    objects = _read_objects(path)
    readers = {
        "Seurat": _seurat,
        "ExpressionSet": _expression_set,
        "dgCMatrix": _sparse_matrix,
        "matrix": _dense_matrix,
    }
    found = [(item, readers[kind]) for item in objects.values() if (kind := _kind(item)) in readers]
    if len(found) != 1:
        raise InputError(
            f"{path}: holds {_describe(objects)}; exactly one object with counts is needed: "
            f"{ACCEPTED}"
        )
    item, reader = found[0]
    return reader(path, item)


def read_r_metadata(path: Path) -> pd.DataFrame | pd.Series:
    """Read the metadata of an R file, leaving its counts aside.

    Parameters
    ----------
    path
        File that holds a Seurat object, an ExpressionSet, a data frame or a factor.

    Returns
    -------
    pandas.DataFrame or pandas.Series
        Table indexed by barcode, or the values of a bare factor, named after the R object.

    Raises
    ------
    InputError
        When the file cannot be read or holds none or several such objects.
    """
    objects = _read_objects(path)
    found = []
    for name, item in objects.items():
        kind = _kind(item)
        if kind == "Seurat":
            found.append(_text_table(getattr(item, "meta.data")))
        elif kind == "ExpressionSet":
            found.append(_text_table(item.phenoData.data))
        elif kind == "data.frame":
            found.append(_text_table(item))
        elif kind == "factor":
            values = pd.Series(_text(item), name=name or path.name.split(".")[0])
            found.append(values)
    if len(found) != 1:
        raise InputError(
            f"{path}: holds {_describe(objects)}; exactly one object with metadata is needed: "
            "a Seurat object, an ExpressionSet, a data.frame or a factor"
        )
    return found[0]


def _read_objects(path: Path) -> dict[str, object]:
    """Return the R objects of a file by name; the one object of an ``.rds`` has the name ''."""
    import rdata

    try:
        with reading(path), warnings.catch_warnings():
            # rdata warns of every R class that it hands over as a plain namespace.
            warnings.simplefilter("ignore")
            content = rdata.conversion.convert(_parse(path))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: not readable as R data ({one_line(error)}); save it again from R with saveRDS"
        ) from error
    if isinstance(content, dict) and all(isinstance(key, str) for key in content):
        return {str(name): item for name, item in content.items()}
    return {"": content}


def _parse(path: Path) -> object:
    """Parse a file, from its stream where it has R's usual (XDR) layout."""
    import rdata

    with open_bytes(path) as handle:
        stream = io.BufferedReader(handle, BLOCK)
        opening = stream.peek(7)[:7]
        magic = 5 if opening[:4] == b"RDX2" or opening[:4] == b"RDX3" else 0
        if opening[magic : magic + 2] != b"X\n":
            return rdata.parser.parse_file(path, extension=".rda" if magic else ".rds")
        stream.read(magic + 2)
        return _stream_parser(stream).parse_all()


def _stream_parser(stream: BinaryIO) -> object:
    """Return rdata's XDR parser, reading from a stream block by block."""
    from rdata.parser import DEFAULT_ALTREP_MAP
    from rdata.parser._xdr import ParserXDR

    class StreamParser(ParserXDR):
        def __init__(self) -> None:
            super().__init__(
                memoryview(b""), expand_altrep=True, altrep_constructor_dict=DEFAULT_ALTREP_MAP
            )
            self.file = stream

        def _parse_array_values(self, dtype: np.dtype, length: int) -> np.ndarray:
            stored = np.dtype(dtype).newbyteorder(">")
            values = np.empty(length, dtype)
            for start in range(0, length, BLOCK):
                count = min(BLOCK, length - start)
                values[start : start + count] = np.frombuffer(
                    self.parse_string(count * stored.itemsize), stored
                )
            return values

        def parse_int(self) -> int:
            return int.from_bytes(self.parse_string(4), "big", signed=True)

        def parse_string(self, length: int) -> bytes:
            data = self.file.read(length)
            if len(data) < length:
                raise EOFError(f"{length - len(data)} bytes are missing at the end")
            return data

    return StreamParser()


def _kind(item: object) -> str:
    """Name the R class of a converted object."""
    if isinstance(item, pd.DataFrame):
        return "data.frame"
    if isinstance(item, pd.Categorical):
        return "factor"
    if type(item).__name__ == "DataArray":
        return "matrix"
    if isinstance(item, SimpleNamespace):
        return str(np.asarray(getattr(item, "class", ["S4"])).ravel()[0])
    return type(item).__name__


def _describe(objects: dict[str, object]) -> str:
    return ", ".join(f"{name or 'one object'} ({_kind(item)})" for name, item in objects.items())


def _seurat(path: Path, item: SimpleNamespace) -> Source:
    """Take the raw counts of the active assay of a Seurat object."""
    name = str(np.asarray(getattr(item, "active.assay")).ravel()[0])
    assay = {str(key): value for key, value in item.assays.items()}[name]
    counts = getattr(assay, "counts", None)
    if _kind(counts) != "dgCMatrix":
        raise InputError(
            f"{path}: assay '{name}' of class {_kind(assay)} has no counts of class dgCMatrix; "
            "save the counts alone: saveRDS(LayerData(object, layer = 'counts'), file)"
        )
    source = _sparse_matrix(path, counts)
    source.cells = _text_table(getattr(item, "meta.data")).reindex(source.barcodes)
    return source


def _expression_set(path: Path, item: SimpleNamespace) -> Source:
    """Take ``exprs`` (genes x wells, dense) and ``phenoData`` of an ExpressionSet."""
    holder = item.assayData
    values = holder.maps[0] if hasattr(holder, "maps") else holder
    if "exprs" not in values:
        raise InputError(f"{path}: the ExpressionSet has no 'exprs'; accepted: {ACCEPTED}")
    source = _dense_matrix(path, values["exprs"])
    source.cells = _text_table(item.phenoData.data).reindex(source.barcodes)
    return source


def _dense_matrix(path: Path, item: object) -> Source:
    """Take an R matrix with dimnames: genes x cells."""
    if len(item.dims) != 2 or len(item.coords) != 2:
        raise InputError(f"{path}: the matrix has no row or column names; set dimnames in R")
    genes, barcodes = (_names(item.coords[axis].values) for axis in item.dims)
    dense = item.values.T
    blocks = [
        sparse.csr_matrix(dense[start : start + DENSE_CELLS], dtype=np.float32)
        for start in range(0, len(barcodes), DENSE_CELLS)
    ]
    return Source(sparse.vstack(blocks, format="csr"), barcodes, genes)


def _sparse_matrix(path: Path, item: SimpleNamespace) -> Source:
    """Take a dgCMatrix: genes x cells, columns compressed."""
    genes, barcodes = item.Dimnames
    shape = tuple(int(n) for n in item.Dim)
    if len(genes) != shape[0] or len(barcodes) != shape[1]:
        raise InputError(f"{path}: the dgCMatrix has no row or column names; set dimnames in R")
    # A column-compressed genes x cells matrix is, read as it stands, row-compressed cells x genes.
    counts = sparse.csr_matrix(
        (item.x.astype(np.float32), item.i, item.p), shape=(shape[1], shape[0])
    )
    return Source(counts, _names(barcodes), _names(genes))


def _names(values: Iterable[object]) -> np.ndarray:
    """Return names as plain strings."""
    return np.array([str(value) for value in values], dtype=object)


def _text_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a data frame with every column as text, missing values kept, barcodes as index."""
    columns = {str(name): _text(table[name]) for name in table.columns}
    return pd.DataFrame(columns, index=table.index.astype(str))


def _text(values: pd.Series | pd.Categorical) -> np.ndarray:
    """Return values as strings, whole numbers without a decimal point, missing as None."""
    series = pd.Series(values).reset_index(drop=True).astype(object)
    return np.array([None if pd.isna(value) else _plain(value) for value in series], dtype=object)


def _plain(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

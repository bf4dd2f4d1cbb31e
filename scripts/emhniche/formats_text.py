"""What counts does a text table hold, and are its genes in rows or in columns?

Rows are read one at a time and only values other than 0 are kept, so a table is never dense in
memory. Files may be plain or compressed with gzip, bzip2 or xz; fields may be separated by tabs,
commas or single spaces, and may be quoted.
"""

import csv
import itertools
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError
from emhniche.formats_common import Source, open_bytes, reading

CELL_HEADERS = {"barcode", "barcodes", "cell", "cells", "cell_id", "cellid", "cell_barcode"}
GENE_HEADERS = {"gene", "genes", "symbol", "gene_symbol", "gene_name", "gene_id", "geneid"}
COMMON_GENES = {"actb", "b2m", "eef1a1", "fth1", "gapdh", "malat1", "ptprc", "rpl13a", "tmsb4x"}
"""Genes that any whole-transcriptome matrix of mouse or human has, in lower case."""


def read_text_counts(path: Path, file_format: str) -> Source:
    """Read a text table of counts.

    Parameters
    ----------
    path
        Text file, possibly compressed.
    file_format
        ``geo_text``, ``tsv_genes_by_cells`` or ``tsv_cells_by_genes``.

    Returns
    -------
    Source
        Counts with cells in rows.

    Raises
    ------
    InputError
        When the file is truncated, a row has another number of fields than the header, or a
        field is not a number.
    """
    with reading(path), open_bytes(path) as handle:
        header = handle.readline().rstrip(b"\r\n")
        rows, columns, matrix = _read_rows(path, handle, _separator(header), _fields(header))
    if file_format == "tsv_cells_by_genes":
        return Source(matrix, barcodes=rows, genes=columns)
    return Source(matrix.T.tocsr(), barcodes=columns, genes=rows)


def read_text_metadata(path: Path) -> pd.DataFrame:
    """Read a TSV or CSV table of cells: barcodes in the first column, everything as text."""
    with reading(path), open_bytes(path) as handle:
        separator = _separator(handle.readline().rstrip(b"\r\n")).decode()
        handle.seek(0)
        table = pd.read_csv(handle, sep=separator, index_col=0, dtype=str, keep_default_na=False)
    if table.shape[1] == 0:
        raise InputError(
            f"{path}: one column; a table of cells needs barcodes in the first column and "
            "metadata in others"
        )
    table.index = table.index.astype(str)
    return table.mask(table == "")


def detect_text(path: Path) -> str:
    """Tell genes in rows from cells in rows.

    In this order: the header's first field says so (``barcode``, ``gene`` and the like); genes
    that every transcriptome has (``Actb``, ...) stand in the header, so cells are in rows; the
    header is one field shorter than the rows, as R writes it, so genes are in rows; genes that
    every transcriptome has begin rows.

    Raises
    ------
    InputError
        When none of these holds.
    """
    with reading(path), open_bytes(path) as handle:
        header = handle.readline().rstrip(b"\r\n")
        columns = _fields(header)
        separator = _separator(header)
        first = handle.readline().rstrip(b"\r\n")
        shorter = first.count(separator) == len(columns)
        corner = "" if shorter or not len(columns) else columns[0].strip().lower()
        if corner in CELL_HEADERS or _hold_common_genes(columns):
            return "tsv_cells_by_genes"
        if corner in GENE_HEADERS:
            return "tsv_genes_by_cells"
        if shorter:
            return "geo_text"
        lines = itertools.chain([first], handle)
        if _hold_common_genes(_unquote(line.partition(separator)[0].decode()) for line in lines):
            return "tsv_genes_by_cells"
    raise InputError(
        f"{path}: neither header nor rows tell genes from cells; set `format` to "
        "tsv_genes_by_cells or tsv_cells_by_genes"
    )


def _hold_common_genes(names: Iterable[str]) -> bool:
    """Tell whether two of the common genes are among the names; read no further than that."""
    seen = (name.lower() for name in names if name.lower() in COMMON_GENES)
    return len(list(itertools.islice(seen, 2))) == 2


def _read_rows(
    path: Path, handle: BinaryIO, separator: bytes, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, sparse.csr_matrix]:
    """Read every row below the header: its name, then one number for each column.

    The header may or may not name the column of row names; the first row tells.
    """
    names: list[str] = []
    indices, values, indptr = array("i"), array("f"), [0]
    code = separator[0]
    for line in handle:
        name, _, body = line.rstrip(b"\r\n").partition(separator)
        names.append(_unquote(name.decode()))
        if len(names) == 1 and body.count(separator) + 2 == len(columns):
            columns = columns[1:]
        row_indices, row_values, n_fields = _sparse_row(path, body, code, names[-1], columns)
        if n_fields != len(columns):
            raise InputError(
                f"{path}: row '{names[-1]}' (line {len(names) + 1}) has {n_fields} values for "
                f"{len(columns)} columns; the file is cut short or `format` is another"
            )
        indices.frombytes(row_indices.tobytes())
        values.frombytes(row_values.tobytes())
        indptr.append(len(indices))
    matrix = sparse.csr_matrix(
        (np.frombuffer(values, np.float32), np.frombuffer(indices, np.int32), np.array(indptr)),
        shape=(len(names), len(columns)),
    )
    return np.array(names, dtype=object), columns, matrix


def _sparse_row(
    path: Path, body: bytes, code: int, name: str, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return column numbers and values of the fields that are not ``0``, and how many there are.

    Most fields are a single ``0``: they are skipped without being turned into numbers.
    """
    text = np.frombuffer(body + bytes([code]), np.uint8)
    ends = np.flatnonzero(text == code)
    starts = np.concatenate(([0], ends[:-1] + 1))
    single = ends - starts == 1
    digits = text[starts]
    kept = np.flatnonzero(~single | (digits != ord("0"))).astype(np.int32)
    values = digits[kept].astype(np.float32) - ord("0")
    for k in np.flatnonzero(~single[kept] | (values < 1) | (values > 9)):
        field = body[starts[kept[k]] : ends[kept[k]]]
        try:
            values[k] = float(field)
        except ValueError:
            column = columns[kept[k]] if kept[k] < len(columns) else f"number {kept[k] + 1}"
            raise InputError(
                f"{path}: row '{name}', column '{column}': '{field.decode(errors='replace')}' is "
                "not a number; counts are whole numbers, 0 where nothing was seen"
            ) from None
    return kept, values, len(ends)


def _separator(header: bytes) -> bytes:
    return next((mark for mark in (b"\t", b",") if mark in header), b" ")


def _fields(header: bytes) -> np.ndarray:
    """Split the header, taking quotes and a byte order mark away."""
    row = next(csv.reader([header.decode("utf-8-sig")], delimiter=_separator(header).decode()), [])
    return np.array(row, dtype=object)


def _unquote(name: str) -> str:
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name

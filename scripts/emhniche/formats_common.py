"""What every reader hands over, and how a possibly compressed file is opened."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError

_OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}


@dataclass
class Source:
    """What one file holds.

    Attributes
    ----------
    counts
        Cells x genes, as stored in the file: not yet checked to be integers.
    barcodes
        Names of the cells, length n_cells.
    genes
        Gene symbols, length n_genes, as stored in the file.
    gene_ids
        Ensembl ids, length n_genes, or None when the file has none.
    cells
        Metadata of the cells, indexed by barcode; no column when the file has none.
    """

    counts: sparse.csr_matrix
    barcodes: np.ndarray
    genes: np.ndarray
    gene_ids: np.ndarray | None = None
    cells: pd.DataFrame = field(default=None)

    def __post_init__(self) -> None:
        """Give the metadata the barcodes as index when there is none."""
        if self.cells is None:
            self.cells = pd.DataFrame(index=pd.Index(self.barcodes, dtype=str))


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading bytes, decompressing by its first bytes."""
    with Path(path).open("rb") as handle:
        magic = handle.read(2)
    return _OPENERS.get(magic, open)(path, "rb")


def one_line(error: Exception) -> str:
    """Return what an exception says, as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a broken compressed file raises into one line for the user."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise InputError(
            f"{path}: the compressed file is truncated or damaged ({one_line(error)}); "
            "fetch it again"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 text ({error.reason}); is the format right?"
        ) from error
